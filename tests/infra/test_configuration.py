"""The deployment's configuration and archives, without Pulumi's engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime.config import set_all_config
from pydantic import ValidationError

from batchdrop.core.settings import CommonSettings, SubmitSettings, load
from batchdrop_pulumi import Stack, StackArgs
from batchdrop_pulumi.archive import installed_archive, source_archive
from batchdrop_pulumi.arguments import least_work_days
from batchdrop_pulumi.identities import ACCOUNTS
from batchdrop_pulumi.regions import REGIONS
from batchdrop_pulumi.services import SERVICES
from infra.config import FIELDS, read
from infra.outputs import outputs
from tests.infra.test_program import Mocks

ROOT = Path(__file__).resolve().parents[2]
GOOD: dict[str, Any] = {"project": "my-project", "region": "europe-west1", "api_key": "k"}


def made(**values: Any) -> StackArgs:
    return StackArgs.model_validate({**GOOD, **values})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("project", "No"),
        ("region", "europe"),
        ("region", "asia-east2"),
        ("prefix", "Upper"),
        ("prefix", "abc"),
        ("prefix", "goods-of-google"),
        ("prefix", "googol"),
        ("prefix", "a" * 21),
        ("tier", 4),
        ("tier", "0"),
        ("policy", "loose"),
        ("alert_email", "nobody"),
        ("notification_channels", "slack"),
        ("work_days", 24),
        ("tick_minutes", 7),
        ("max_instances", 0),
        ("uploaders", "allUsers"),
        ("readers", "allAuthenticatedUsers"),
        ("operators", "ada@example.com"),
        ("labels", {"Team": "a"}),
        ("labels", {"team": "A"}),
        ("backup_days", 99),
        ("surprise", 1),
        ("settings", {"surprise": 1}),
        ("settings", {"project": "another"}),
        ("settings", {"stack_id": "another"}),
        ("settings", {"cache_seconds": 5}),
    ],
)
def test_a_wrong_setting_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        made(**{field: value})
    assert field in str(caught.value)


def test_work_outlives_whatever_a_job_may_wait_for() -> None:
    """14 days of deadline, 7 held, 2 of looking for results, 2 to spare."""
    assert least_work_days({}) == 25 == made().work_days
    assert least_work_days({"job_deadline_hours": 24 * 20}) == 31
    assert least_work_days({"held_days": 1}) == 19
    with pytest.raises(ValidationError, match="28 days"):
        made(settings={"held_days": 10})
    assert made(settings={"held_days": 10}, work_days=28).work_days == 28


def test_names_fit_where_they_are_used() -> None:
    longest = "a" * 20
    assert made(prefix=longest).prefix == longest
    assert all(6 <= len(f"{longest}-{account}") <= 30 for account in ACCOUNTS), "an account's id"
    assert len(f"{'p' * 30}-{longest}-output") <= 63, "a bucket's name"
    assert all(len(f"{longest}-{service.name}") <= 49 for service in SERVICES), "a Cloud Run service's name"


def test_a_new_region_can_be_allowed() -> None:
    assert made(region="europe-north9", allow_region=True).region == "europe-north9"
    assert {"us-central1", "europe-west1", "asia-southeast1"} <= REGIONS
    assert "asia-east2" not in REGIONS


# ------------------------------------------------------------------------- as `pulumi config` keeps it
def configured(**values: str) -> StackArgs:
    """Read a configuration that is all text."""
    texts = {f"batchdrop:{name}": value for name, value in values.items()}
    texts |= {"gcp:project": "my-project", "gcp:region": "europe-west1"}
    texts.setdefault("batchdrop:gemini_api_key", "k")
    set_all_config(texts, [])
    return read(pulumi.Config("batchdrop"), pulumi.Config("gcp"), texts)


def test_every_setting_can_be_set() -> None:
    assert set(FIELDS) == set(StackArgs.model_fields) - {"project", "region", "api_key"}
    assert configured().prefix == "batchdrop"


def test_numbers_switches_lists_and_objects_may_be_text() -> None:
    args = configured(
        tier="2",
        max_instances="30",
        tick_minutes="5",
        keep_data="false",
        uploaders="group:a@example.com, user:b@example.com",
        readers='["user:c@example.com"]',
        labels='{"team":"data"}',
        settings='{"budgets":{"stack":500}}',
    )
    assert (args.tier, args.max_instances, args.tick_minutes, args.keep_data) == (2, 30, 5, False)
    assert args.uploaders == ("group:a@example.com", "user:b@example.com")
    assert (args.readers, args.labels) == (("user:c@example.com",), {"team": "data"})
    assert args.settings == {"budgets": {"stack": 500}}


def test_a_mistyped_setting_is_refused_and_the_near_one_named() -> None:
    with pytest.raises(pulumi.RunError, match="batchdrop:max_instance: no such setting; did you mean batchdrop:max_in"):
        configured(max_instance="3")


def test_a_wrong_value_is_named_with_its_setting() -> None:
    with pytest.raises(pulumi.RunError, match="batchdrop:tier: Input should be less than or equal to 3"):
        configured(tier="7")


def test_budgets_and_prices_of_a_stack_arrive_at_its_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {
        "budgets": {"stack": 500, "team:blue": "49.5"},
        "cache_seconds": 7200,
        "shard_requests": "2000",
    }
    settings["prices"] = {"gemini-x": {"batch": {"input_mtok": 0.1}}}
    args = made(settings=settings)
    for name, value in args.variables().items():
        monkeypatch.setenv(f"BATCHDROP_{name.upper()}", value)
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
    (package / ".editor").write_text("not ours")
    (package / "inner" / "a.py").touch()
    assert source_archive(function, package).digest == first.digest
    seen = {first.digest}
    (package / "inner" / "a.py").write_text("b")
    seen.add(source_archive(function, package).digest)
    (package / "inner" / "a.py").rename(package / "inner" / "b.py")
    seen.add(source_archive(function, package).digest)
    (function / "requirements.txt").write_text("z")
    seen.add(source_archive(function, package).digest)
    (package / "inner" / "page.html").write_text("what is no code belongs to it too")
    seen.add(source_archive(function, package).digest)
    assert len(seen) == 5


def test_a_missing_file_is_an_error(sources: tuple[Path, Path]) -> None:
    function, package = sources
    (function / "requirements.txt").unlink()
    with pytest.raises(FileNotFoundError):
        source_archive(function, package)


@pytest.mark.parametrize("name", ["submit", "poll", "write"])
def test_a_functions_archive_stands_alone(tmp_path: Path, name: str) -> None:
    archive = installed_archive(name)
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


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_sample_configurations_are_complete_but_for_the_key(stack: str) -> None:
    values = yaml.safe_load((ROOT / "infra" / f"Pulumi.{stack}.yaml").read_text())["config"]
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    assert not any("key" in name for name in texts), "a secret in a sample"
    set_all_config({**texts, "batchdrop:gemini_api_key": "k"}, [])
    args = read(pulumi.Config("batchdrop"), pulumi.Config("gcp"), texts)
    assert args.keep_data is (stack == "prod")
    assert args.labels["environment"] == stack
    done = subprocess.run(["git", "check-ignore", f"infra/Pulumi.{stack}.yaml"], cwd=ROOT, check=False)
    assert done.returncode != 0, "a sample that git ignores"


def listed(heading: str) -> list[str]:
    """Return the names in the first column of a table of the README."""
    table = (ROOT / "README.md").read_text().partition(heading)[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_the_readme_lists_every_setting_and_every_output() -> None:
    assert sorted(listed("| `batchdrop:` | default | |")) == sorted(FIELDS)
    args = made(api_key=pulumi.Output.secret("k"))
    pulumi_mocks.set_mocks(Mocks(), preview=False)
    names: list[str] = []
    pulumi.runtime.test(lambda: names.extend(outputs(args, Stack("a", args))))()
    assert sorted(listed("| output | |")) == sorted(names)


# ------------------------------------------------------------------------------------------- destroying
PULUMI = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  "stack output --json") echo "$OUTPUTS" ;;
  "config --json") echo "${SETTINGS:-{\\}}" ;;
  "config get batchdrop:gemini_api_key") echo the-key ;;
  "config get batchdrop:paid_key") echo another-key ;;
esac
"""
"""What stands in for the Pulumi CLI: it writes down how it is called, and knows a stack's outputs and its key."""


def destroyed(folder: Path, outputs: str, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run `infra.destroy` with this Pulumi; return how it ended and the calls."""
    return asking(folder, ["-m", "infra.destroy", *arguments], {"OUTPUTS": outputs})


def asking(
    folder: Path, arguments: list[str], answers: dict[str, str]
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run Python with this Pulumi; return how it ended and the calls."""
    (folder / "pulumi").write_text(PULUMI)
    (folder / "pulumi").chmod(0o755)
    own = {"CALLS": str(folder / "calls"), "PYTHONPATH": f"{ROOT / 'shared'}:{ROOT}", **answers}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **own, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    calls = folder / "calls"
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_destroying_leaves_out_what_is_protected_and_says_what_stays(tmp_path: Path) -> None:
    done, calls = destroyed(tmp_path, "{}", "--no-drain", "--yes")
    assert (done.returncode, calls) == (0, ["destroy --exclude-protected --yes", "stack --show-ids"])
    for word in ("uploads and results", "soft delete", "gcf-v2-sources", "batchdrop:adopt"):
        assert word in done.stdout


def test_nothing_is_destroyed_when_draining_failed(tmp_path: Path) -> None:
    outputs = json.dumps({"environment": "export BATCHDROP_PROJECT=my-project BATCHDROP_MAX_CLAIMS=none"})
    done, calls = destroyed(tmp_path, outputs, "--yes")
    assert done.returncode == 1
    assert calls == ["stack output --json", "config --json", "config get batchdrop:gemini_api_key"]
    assert "nothing was removed" in done.stderr


def test_draining_reaches_each_provider_by_its_own_key(tmp_path: Path) -> None:
    providers = {"paid": {"kind": "gemini", "secret": "paid_key"}, "near": {"kind": "gemini"}}
    settings = json.dumps({"batchdrop:providers": {"value": json.dumps(providers)}})
    code = "import pathlib, sys; from infra.destroy import keys; print(*keys(pathlib.Path(sys.argv[1])).popitem())"
    done, calls = asking(tmp_path, ["-c", code, str(tmp_path)], {"SETTINGS": settings})
    name, _, text = done.stdout.partition(" ")
    made = load(CommonSettings, **{name.removeprefix("BATCHDROP_").lower(): json.loads(text)}).providers
    assert calls == ["config --json", "config get batchdrop:paid_key"]
    assert made["near"].secret is None
    path = made["paid"].secret
    assert path is not None
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("another-key", 0o600)


def test_a_stack_that_never_ran_needs_no_draining(tmp_path: Path) -> None:
    done, calls = destroyed(tmp_path, "{}")
    assert (done.returncode, calls[1:]) == (0, ["destroy --exclude-protected", "stack --show-ids"])


@pytest.mark.parametrize("target", ["preview", "deploy", "destroy", "smoke"])
def test_make_says_how_to_get_the_cli_before_it_installs_anything(target: str) -> None:
    if shutil.which("pulumi"):
        pytest.skip("the Pulumi CLI is here")
    done = subprocess.run(["make", target, "PROJECT=p"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pulumi.com/docs/install" in done.stdout + done.stderr
    assert "installing" not in done.stdout
