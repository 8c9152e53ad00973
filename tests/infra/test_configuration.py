"""The deployment's configuration and archives, without Pulumi's engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from batchdrop.core.settings import SubmitSettings, load
from infra.archive import source_archive
from infra.config import FIELDS, StackConfig

ROOT = Path(__file__).resolve().parents[2]
GOOD: dict[str, Any] = {"project": "my-project", "region": "europe-west1", "api_key": "k"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project", "No"),
        ("region", "europe"),
        ("prefix", "Upper"),
        ("tier", 4),
        ("policy", "loose"),
        ("alert_email", "nobody"),
        ("work_days", 3),
        ("max_instances", 0),
        ("surprise", 1),
        ("settings", {"surprise": 1}),
        ("settings", {"project": "another"}),
        ("settings", {"cache_seconds": 5}),
    ],
)
def test_a_wrong_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        StackConfig(**{**GOOD, field: value})
    assert field in str(caught.value)


def test_every_setting_can_be_set() -> None:
    assert set(StackConfig.model_fields) - {"project", "region", "api_key"} == set(FIELDS)
    assert StackConfig(**GOOD).prefix == "batchdrop"


def test_budgets_and_prices_of_a_stack_arrive_at_its_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {
        "budgets": {"stack": 500, "team:blue": "49.5"},
        "cache_seconds": 7200,
        "shard_requests": "2000",
    }
    settings["prices"] = {"gemini-x": {"batch": {"input_mtok": 0.1}}}
    config = StackConfig.model_validate({**GOOD, "settings": settings})
    for name, value in config.variables().items():
        monkeypatch.setenv(name, value)
    found = load(SubmitSettings)
    assert found.budgets == {"stack": Decimal(500), "team:blue": Decimal("49.5")}
    assert (found.cache_seconds, found.shard_requests) == (7200, 2000)
    assert found.prices["gemini-x"]["batch"]["input_mtok"] == Decimal("0.1")


def test_the_project_file_is_what_pulumi_reads() -> None:
    found = yaml.safe_load((ROOT / "infra" / "Pulumi.yaml").read_text())
    assert (found["name"], found["runtime"]["name"]) == ("batchdrop", "python")
    assert set(found["config"]) <= {f"batchdrop:{name}" for name in FIELDS}


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    """A small function and a small package."""
    function, package = tmp_path / "function", tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    function.mkdir()
    (function / "main.py").write_text("x = 1")
    (function / "requirements.txt").write_text("y")
    (package / "__init__.py").write_text("")
    (package / "inner" / "a.py").write_text("a")
    return function, package


def test_an_archive_changes_exactly_when_its_content_does(sources: tuple[Path, Path]) -> None:
    function, package = sources
    first = source_archive(function, package)
    assert list(first.files) == ["batchdrop/__init__.py", "batchdrop/inner/a.py", "main.py", "requirements.txt"]
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.pyc").write_bytes(b"x")
    (package / "notes.txt").write_text("not code")
    (package / "inner" / "a.py").touch()
    assert source_archive(function, package).digest == first.digest
    seen = {first.digest}
    (package / "inner" / "a.py").write_text("b")
    seen.add(source_archive(function, package).digest)
    (package / "inner" / "a.py").rename(package / "inner" / "b.py")
    seen.add(source_archive(function, package).digest)
    (function / "requirements.txt").write_text("z")
    seen.add(source_archive(function, package).digest)
    assert len(seen) == 4


def test_a_missing_file_is_an_error(sources: tuple[Path, Path]) -> None:
    function, package = sources
    (function / "requirements.txt").unlink()
    with pytest.raises(FileNotFoundError):
        source_archive(function, package)


@pytest.mark.parametrize("name", ["submit", "poll", "write"])
def test_a_functions_archive_stands_alone(tmp_path: Path, name: str) -> None:
    archive = source_archive(ROOT / "functions" / name, ROOT / "shared" / "batchdrop")
    packed = tmp_path / "source.zip"
    with zipfile.ZipFile(packed, "w") as out:
        for inside, path in archive.files.items():
            out.write(path, inside)
    folder = tmp_path / "workspace"
    with zipfile.ZipFile(packed) as source:
        source.extractall(folder)
    code = (
        "import sys\n"
        "sys.path = [p for p in sys.path if 'shared' not in p and not p.endswith('main')]\n"
        "import functions_framework\n"
        f"app = functions_framework.create_app({name!r}, 'main.py', 'http')\n"
        "import batchdrop; assert 'workspace' in batchdrop.__file__, batchdrop.__file__\n"
        "answer = app.test_client().post('/', data=b'no push')\n"
        "assert answer.status_code in (204, 503), answer.status_code\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "BATCHDROP_LOCAL_DIR": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["submit", "poll", "write"])
def test_a_functions_requirements_are_pinned_with_hashes(name: str) -> None:
    text = (ROOT / "functions" / name / "requirements.txt").read_text()
    packages = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert all("==" in line for line in packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert any(line.startswith("functions-framework==") for line in packages)
    assert "://" not in text


@pytest.mark.parametrize("target", ["preview", "deploy", "destroy"])
def test_make_says_how_to_get_the_cli(target: str) -> None:
    if shutil.which("pulumi") or not (ROOT / ".venv" / ".dev").exists():
        pytest.skip("the Pulumi CLI is here, or the environment was not made by make")
    done = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pulumi.com/docs/install" in done.stdout + done.stderr
