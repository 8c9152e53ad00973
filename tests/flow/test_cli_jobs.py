"""Acting on jobs from the command line: what makes no sense is refused with the reason, never with a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.adapters.local.sqlite_topics import SqliteTopics
from batchdrop.cli.main import main
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.harness import Stack, TestClock, assert_accounted, lines

Run = Callable[..., tuple[int, str, str]]
CSV = b"id,text\n1,good\n2,bad\n"


@pytest.fixture
def stack(tmp_path: Path, gemini: GeminiEmulator, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack where the command line looks for it."""
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("BATCHDROP_LOCAL_DIR", str(tmp_path))
    clock = TestClock()
    return Stack(
        objects=DirectoryObjects(tmp_path / "buckets", clock.now),
        documents=SqliteDocuments(tmp_path / "state" / "records.sqlite"),
        topics=SqliteTopics(tmp_path / "state" / "topics.sqlite", min_backoff_seconds=0),
        provider=GeminiApi(lambda: "k", gemini.url),
        gemini=gemini,
        clock=clock,
    )


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code and what it wrote."""

    def go(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(list(arguments))
        except SystemExit as error:
            code = int(error.code or 0)
        written = capsys.readouterr()
        return code, written.out, written.err

    return go


# ------------------------------------------------------------------------------------------------ release
def test_a_job_that_is_not_held_cannot_be_released(stack: Stack, run: Run, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = stack.upload("a.jsonl", lines("one"))
    stack.receive_only(info)
    code, out, err = run("release", stack.find_by(info).job_id)
    assert (code, out) == (1, "")
    assert "is not held: it is RECEIVED" in err
    assert stack.find_by(info).wanted == ""


def test_a_cancelled_job_stays_cancelled_when_it_is_released(stack: Stack, run: Run) -> None:
    info = stack.upload("a.jsonl", lines("one"))
    stack.receive_only(info)
    job_id = stack.find_by(info).job_id
    assert run("cancel", job_id)[0] == 0
    code, _, err = run("release", job_id)
    assert code == 1
    assert "cancel" in err
    assert stack.run(info).state == "CANCELLED"


def test_a_cancel_of_a_held_job_wins_over_a_release_after_it(stack: Stack, run: Run) -> None:
    info = stack.upload("a.jsonl", lines("one"), {"max-cost": "0.0000001"})
    job = stack.run(info, until=lambda job: job.state == "HELD")
    assert run("cancel", job.job_id)[0] == 0
    assert run("release", job.job_id)[0] == 1
    assert stack.run(info).state == "CANCELLED"


def test_a_job_held_for_its_cost_is_released(stack: Stack, run: Run) -> None:
    info = stack.upload("a.jsonl", lines("one"), {"max-cost": "0.0000001"})
    job = stack.run(info, until=lambda job: job.state == "HELD")
    told = run("status", job.job_id)[1]
    assert told.count("batchdrop release") == 1
    assert "it is rejected" in told
    assert "(in 168 h)" in told
    assert run("release", job.job_id)[0] == 0
    assert stack.run(info).state == "DONE"


def test_a_job_that_waits_for_a_recipe_is_not_released_but_told_how(stack: Stack, run: Run) -> None:
    info = stack.upload("team/a.csv", CSV)
    job = stack.run(info, until=lambda job: job.state == "HELD")
    told = run("status", job.job_id)[1]
    assert "batchdrop release" not in told
    assert "recipe.yaml" in told
    assert "prompt:" in told
    assert "(in 15 min)" in told
    assert "deadline" not in told
    code, out, err = run("release", job.job_id)
    assert (code, out) == (1, "")
    assert "recipe.yaml" in err
    [(data, _)] = stack.completions()
    until = stack.find_by(info).held_until
    assert until is not None
    assert data["held_until"] == until.isoformat()
    assert timedelta(minutes=14) < until - job.created_at < timedelta(minutes=16)
    ended = stack.run(info)
    assert (ended.state, abs(((ended.ended_at or until) - until).total_seconds()) < 60) == ("REJECTED", True)


def test_a_job_that_waits_for_an_equal_one_is_not_released(stack: Stack, run: Run, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200)
    first = stack.upload("a.jsonl", lines("one"))
    info = stack.upload("b.jsonl", lines("one"))
    job = stack.run(info, until=lambda job: job.state == "HELD")
    assert stack.find_by(first).job_id in run("status", job.job_id)[1]
    code, _, err = run("release", job.job_id)
    assert code == 1
    assert "again" in err


# -------------------------------------------------------------------------------------------------- rerun
def test_rerun_runs_a_complete_upload_once_more(stack: Stack, run: Run, gemini: GeminiEmulator) -> None:
    first = stack.run(stack.upload("team/a.jsonl", lines("one"), {"label-x": "1"}))
    code, out, _ = run("rerun", first.job_id)
    assert code == 0
    info = stack.objects.stat("input", "team/a.jsonl")
    assert info is not None
    assert info.generation != first.source.generation
    assert set(info.metadata) == {"label-x", "again"}
    job = stack.run(info)
    assert job.job_id in out
    assert (job.state, gemini.calls["create"]) == ("DONE", 2)
    assert_accounted(stack, job)
    assert run("rerun", job.job_id)[0] == 0


def test_rerun_says_why_it_cannot(stack: Stack, run: Run, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = stack.upload("a.jsonl", lines("one"))
    running = stack.run(info, until=lambda job: job.state == "RUNNING")
    assert "has not ended" in run("rerun", running.job_id)[2]
    job = stack.run(info)
    stack.upload("a.jsonl", lines("other"))
    assert "replaced" in run("rerun", job.job_id)[2]
    stack.objects.delete("input", "a.jsonl")
    code, _, err = run("rerun", job.job_id)
    assert code == 1
    assert "input/a.jsonl" in err
    assert "gone" in err


# -------------------------------------------------------------------------------------------- what is typed
@pytest.mark.parametrize(
    "typed",
    [
        ("list", "--limit", "99999999999999999999"),
        ("list", "--limit", "-5"),
        ("list", "--limit", "0"),
        ("list", "--limit", "many"),
        ("savings", "--since", "2026-13-99"),
        ("savings", "--since", "yesterday"),
    ],
)
def test_what_no_command_takes_is_refused_with_a_sentence(stack: Stack, run: Run, typed: tuple[str, ...]) -> None:
    code, out, err = run(*typed)
    assert code in (1, 2)
    assert out == ""
    assert "Traceback" not in err
    assert typed[1] in err


@pytest.mark.parametrize("job_id", ["a/b", "a/b/c", "../x", "__x__", "", "x" * 3000, "0" * 32])
@pytest.mark.parametrize("command", ["status", "cancel", "release", "rerun"])
def test_an_id_that_is_none_is_an_unknown_job(stack: Stack, run: Run, command: str, job_id: str) -> None:
    assert run(command, job_id) == (1, "", "there is no such job\n")


def test_the_summary_of_a_held_job_says_until_when(stack: Stack, run: Run) -> None:
    job = stack.run(stack.upload("team/a.csv", CSV), until=lambda job: job.state == "HELD")
    body = json.loads(run("status", job.job_id, "--json")[1])
    assert body["held_until"] == json.loads(job.model_dump_json())["held_until"]
