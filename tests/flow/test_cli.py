"""The command line on a stack: what it says, what it asks for, and that the functions do it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.adapters.local.sqlite_topics import SqliteTopics
from batchdrop.cli.main import main
from batchdrop.ports import Topic
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.emulated import PREFIX
from tests.harness import Stack, TestClock, assert_accounted, lines, make_emulated

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stack(
    request: pytest.FixtureRequest,
    stack_kind: str,
    tmp_path: Path,
    gemini: GeminiEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> Stack:
    """A stack where the command line looks for it."""
    if stack_kind == "emulators":
        ports = request.getfixturevalue("emulated")
        monkeypatch.setenv("BATCHDROP_PROJECT", request.getfixturevalue("project"))
        monkeypatch.setenv("BATCHDROP_TOPIC_PREFIX", PREFIX)
        ports.topics.others_publish = True
        return make_emulated(ports, gemini)
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
        code = main(list(arguments))
        written = capsys.readouterr()
        return code, written.out, written.err

    return go


def told(run: Run, job_id: str) -> str:
    code, out, _ = run("status", job_id)
    assert code == 0
    return out


def test_list_shows_jobs_in_words_and_as_json(stack: Stack, run: Run) -> None:
    job = stack.run(stack.upload("team/a.jsonl", lines("one", "two")))
    _, out, _ = run("list")
    assert job.job_id in out
    assert "team/a.jsonl" in out
    found: list[dict[str, Any]] = json.loads(run("list", "--json")[1])
    assert [entry["counts"]["results"] for entry in found] == [2]


def test_a_name_with_control_characters_cannot_write_to_the_terminal(stack: Stack, run: Run) -> None:
    stack.run(stack.upload("team/\x1b[31mred.jsonl", lines("one")))
    assert "\x1b" not in run("list")[1]


def test_status_says_where_a_job_is_and_why_it_waits(stack: Stack, run: Run, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=300, calls=(CallFault("create", status=429, times=1, retry_seconds=120),))
    info = stack.upload("a.jsonl", lines("one", "two [[emulate:error=3]]"))
    stack.receive_only(info)
    job_id = stack.find_by(info).job_id
    assert "snapshot" in told(run, job_id)
    stack.run(info, until=lambda _: gemini.calls["create"] == 1)
    assert "the provider refused more work" in told(run, job_id)
    stack.run(info, until=lambda _: len(gemini.batches()) == 1)
    stack.tick()
    assert "1 batch is at the provider" in told(run, job_id)
    stack.run(info)
    assert "It ended partial; the manifest is output/a.jsonl/" in told(run, job_id)
    body = json.loads(run("status", job_id, "--json")[1])
    assert body["counts"]["errors"] == 1
    assert [shard["state"] for shard in body["shards"]] == ["WRITTEN"]


def test_status_says_when_a_create_is_in_doubt(stack: Stack, run: Run, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(list_lag_seconds=300, calls=(CallFault("create", lose=True, times=1),))
    info = stack.upload("a.jsonl", lines("one"))
    job = stack.run(info, until=lambda job: any(shard.state == "CREATING" for shard in stack.shards(job.job_id)))
    assert "It is not created twice meanwhile" in told(run, job.job_id)


def test_cancel_stops_a_running_job_even_if_its_wake_is_lost(stack: Stack, run: Run, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = stack.upload("a.jsonl", lines("one"))
    job = stack.run(info, until=lambda _: bool(gemini.batches()))
    assert run("cancel", job.job_id)[0] == 0
    lost = stack.topics.lease(Topic.SHARDS, 600)
    assert lost is not None
    stack.topics.ack(lost)
    assert "Cancel was asked for" in told(run, job.job_id)
    job = stack.run(info)
    assert job.state == "CANCELLED"
    assert_accounted(stack, job)
    code, _, err = run("cancel", job.job_id)
    assert (code, err) == (1, "the job has ended: CANCELLED\n")


def test_an_unknown_job_is_said_to_be_unknown(stack: Stack, run: Run) -> None:
    for command in ("status", "cancel", "release"):
        assert run(command, "0" * 32) == (1, "", "there is no such job\n")


@pytest.mark.embedded_only("a hundred attempts a second apart; test_topics_contract has the dead letters of Pub/Sub")
def test_dead_letters_are_listed_and_replayed(stack: Stack, run: Run) -> None:
    stack.topics.publish(Topic.SHARDS, b"not a wake")
    for _ in range(200):
        message = stack.topics.lease(Topic.SHARDS, 600)
        if message is None:
            break
        stack.topics.nack(message)
    [listed] = json.loads(run("replay", "--dry-run", "--json")[1])
    assert listed["topic"] == "shards"
    assert "1 dead letters delivered again" in run("replay")[1]
    assert json.loads(run("replay", "--dry-run", "--json")[1]) == []
    assert stack.topics.lease(Topic.SHARDS, 600) is not None


def test_wrong_settings_are_named(stack: Stack, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHDROP_RECORD_DAYS", "many")
    code, _, err = run("list")
    assert code == 1
    assert "BATCHDROP_RECORD_DAYS" in err


def test_drain_says_what_is_left_and_resume_lets_the_stack_send_again(
    stack: Stack, run: Run, gemini: GeminiEmulator
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = stack.upload("a.jsonl", lines("one"))
    job = stack.run(info, until=lambda _: bool(gemini.batches()))
    code, out, err = run("drain", "--timeout", "0")
    assert (code, out) == (1, "jobs: 1 RUNNING; batches at the provider: 1; context caches: 0\n")
    assert job.job_id in err
    assert stack.run(info).state == "CANCELLED"
    code, out, _ = run("drain", "--timeout", "0")
    assert code == 0
    assert "nothing is left at the provider" in out
    assert run("resume") == (0, "the stack sends again\n", "")
    again = stack.upload("b.jsonl", lines("two"))
    assert stack.run(again).state == "DONE"
