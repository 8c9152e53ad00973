"""The component in programs of others: its provider, its names, and the same archives from a clone and from a wheel."""

from __future__ import annotations

import runpy
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime.config import set_all_config

from batchdrop_pulumi import Stack, StackArgs
from batchdrop_pulumi.archive import installed_archive
from batchdrop_pulumi.services import ENTRIES, SERVICES
from tests.infra.test_program import Mocks

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "shared" / "examples" / "embed" / "__main__.py"


class Recorder(Mocks):
    """Remembers the provider and the name of every resource, too."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[pulumi.runtime.MockResourceArgs] = []
        self.asked: list[pulumi.runtime.MockCallArgs] = []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.seen.append(args)
        return super().new_resource(args)

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        self.asked.append(args)
        return super().call(args)

    def google(self) -> list[pulumi.runtime.MockResourceArgs]:
        """Return what is made at Google Cloud."""
        return [args for args in self.seen if args.typ.startswith("gcp:")]


def stack_args(**chosen: Any) -> StackArgs:
    return StackArgs.model_validate({"project": "my-project", "region": "europe-west1", "api_key": "k", **chosen})


def ran(program: Any) -> Recorder:
    """Run a program under mocks."""
    recorder = Recorder()
    pulumi_mocks.set_mocks(recorder, preview=False)
    pulumi.runtime.test(program)()
    return recorder


@pytest.fixture(scope="module")
def example() -> Recorder:
    """The example, as it stands in the repository."""
    set_all_config({"gcp:project": "my-project", "project:gemini_api_key": "k"}, ["project:gemini_api_key"])

    def program() -> None:
        runpy.run_path(str(EXAMPLE))

    return ran(program)


def test_the_example_uses_its_own_provider_for_everything(example: Recorder) -> None:
    made = example.google()
    assert len(made) > 100
    assert all("::reviews::" in str(args.provider) for args in made), "another provider was used"
    assert len(example.asked) == 2
    assert all("::reviews::" in str(args.provider) for args in example.asked)


def test_the_example_hears_of_jobs_that_are_not_complete(example: Recorder) -> None:
    subscription = example.graph["gcp:pubsub/subscription:Subscription"]["reviews-unfinished"]
    assert subscription["topic"] == "id-reviews-jobs-completed"
    assert subscription["filter"] == 'attributes.state != "DONE" OR attributes.verdict = "partial"'
    functions = example.graph["gcp:cloudfunctionsv2/function:Function"]
    assert set(functions) == {f"reviews-{service.name}" for service in SERVICES}
    assert functions["reviews-submit"]["serviceConfig"]["environmentVariables"]["BATCHDROP_BUDGETS"] == '{"stack": 50}'


def test_two_stacks_of_one_program_share_no_name() -> None:
    def program() -> None:
        for name in ("blue", "green"):
            Stack(f"{name}-drop", stack_args(prefix=name))

    recorder = ran(program)
    names = Counter((args.typ, args.name) for args in recorder.google())
    assert [name for name, times in names.items() if times > 1] == []
    assert {name.partition("-")[0] for _, name in names} == {"blue", "green"}


def test_data_can_be_given_up_and_kept_safer() -> None:
    def program() -> None:
        Stack("a", stack_args(keep_data=False))
        Stack("b", stack_args(prefix="safe", point_in_time_recovery=True, backup_days=14, tick_minutes=15))

    recorder = ran(program)
    graph = recorder.graph
    buckets = graph["gcp:storage/bucket:Bucket"]
    assert all(buckets[f"a-{what}"]["forceDestroy"] for what in ("input", "work", "output", "source"))
    databases = graph["gcp:firestore/database:Database"]
    assert databases["a-database"]["deleteProtectionState"] == "DELETE_PROTECTION_DISABLED"
    assert databases["b-database"]["pointInTimeRecoveryEnablement"] == "POINT_IN_TIME_RECOVERY_ENABLED"
    [backup] = graph["gcp:firestore/backupSchedule:BackupSchedule"].values()
    assert backup["retention"] == "1209600s"
    assert graph["gcp:cloudscheduler/job:Job"]["b-poll"]["schedule"] == "*/15 * * * *"
    [silent] = graph["gcp:monitoring/alertPolicy:AlertPolicy"]["b-silence"]["conditions"]
    assert silent["conditionAbsent"]["duration"] == "2700s", "three ticks"


def test_what_an_earlier_stack_left_is_adopted() -> None:
    def program() -> None:
        Stack("a", stack_args(adopt=True))

    imported = {args.name: args.resource_id for args in ran(program).google() if args.resource_id}
    assert imported == {
        "a-input": "my-project-batchdrop-input",
        "a-output": "my-project-batchdrop-output",
        "a-database": "projects/my-project/databases/batchdrop",
    }


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone, unpacked as an installer does."""
    pytest.importorskip("hatchling", reason="hatchling is missing: `make check` installs it")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_clone_and_a_wheel_make_the_same_archive(unpacked: Path, entry: str) -> None:
    code = f"from batchdrop_pulumi.archive import installed_archive as a; f = a({entry!r}); print(f.digest, *f.files)"
    command, alone = [sys.executable, "-c", code], {"PYTHONPATH": str(unpacked)}
    done = subprocess.run(command, cwd=unpacked, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    digest, *files = done.stdout.split()
    here = installed_archive(entry)
    assert files == list(here.files)
    assert digest == here.digest
