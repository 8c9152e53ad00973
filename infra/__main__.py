"""The Pulumi program: reads the configuration, builds the stack, exports what a user needs."""

from __future__ import annotations

import sys
from pathlib import Path

import pulumi

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "shared")]

from infra.config import read  # noqa: E402 - the path is set above
from infra.stack import deploy  # noqa: E402

for name, value in deploy(read(pulumi.Config("batchdrop"), pulumi.Config("gcp")), ROOT).items():
    pulumi.export(name, value)
