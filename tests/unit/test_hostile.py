"""No small input costs more than its share: each hostile case ends, within 2 s and 256 MiB, in rows or a code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.samples.hostile.run import all_cases

ROOT = Path(__file__).parents[2]
FAMILIES = ("template", "yaml", "schema", "pattern", "line", "record", "parquet", "csv", "gzip")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_hostile_case_ends_within_its_share(family: str) -> None:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "tests.samples.hostile.run", f"{family}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[:8_000] + done.stderr


def test_there_are_hundreds_of_cases_and_each_belongs_to_a_family() -> None:
    names = [case.name for case in all_cases()]
    assert len(names) == len(set(names)) >= 400
    assert all(name.startswith(FAMILIES) for name in names)
