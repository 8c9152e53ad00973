"""The Pulumi program: reads the configuration, makes the component of `batchdrop_pulumi`, exports what a user needs."""

from __future__ import annotations

import sys
from pathlib import Path

import pulumi

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "shared")]

from batchdrop_pulumi import Stack  # noqa: E402 - the path is set above
from infra.config import read  # noqa: E402
from infra.outputs import outputs  # noqa: E402

args = read(
    pulumi.Config("batchdrop"), pulumi.Config("gcp"), pulumi.runtime.get_config_env()
)
for name, value in outputs(args, Stack(args.prefix, args)).items():
    pulumi.export(name, value)
