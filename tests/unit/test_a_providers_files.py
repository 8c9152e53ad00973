"""What a new provider costs: a folder of its own, and one row in the list of kinds; nothing else names it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
PROVIDERS = SHARED / "batchdrop" / "providers"
KINDS = sorted(path.name for path in PROVIDERS.iterdir() if (path / "__init__.py").exists())
FAKE = Path(__file__).resolve().parents[1] / "contract" / "fake.py"


def imported(file: Path) -> set[str]:
    """Return the modules that a file imports, at its head or in a function."""
    nodes = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    named = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return named | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


@pytest.mark.parametrize("kind", KINDS)
def test_outside_its_folder_one_file_knows_a_provider(kind: str) -> None:
    others = [path for path in (SHARED / "batchdrop").rglob("*.py") if PROVIDERS / kind not in path.parents]
    package = f"batchdrop.providers.{kind}"
    knowing = [path for path in others if any(name.startswith(package) for name in imported(path))]
    assert knowing == [SHARED / "batchdrop" / "wiring.py"]


@pytest.mark.parametrize("kind", KINDS)
def test_its_folder_has_facts_an_envelope_and_calls(kind: str) -> None:
    assert {"facts.py", "envelope.py", "api.py"} <= {path.name for path in (PROVIDERS / kind).glob("*.py")}


def test_the_fake_one_is_one_file_that_knows_the_ports_and_the_core_alone() -> None:
    """It has all three in one file, and runs the whole flow (`tests/contract/test_a_new_provider.py`)."""
    ours = {name for name in imported(FAKE) if name.startswith("batchdrop")}
    assert ours == {
        "batchdrop.core.errors",
        "batchdrop.core.result.result",
        "batchdrop.ports",
        "batchdrop.providers.by_name",
    }
