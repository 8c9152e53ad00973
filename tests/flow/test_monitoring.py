"""What monitoring reads: one line a tick, one line for each ended job, with fields that are always there."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

from batchdrop.core import logs
from batchdrop.core.result.outcome import Outcome
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.harness import Row, Stack, jsonl, lines, make_stack

Make = Callable[..., Stack]
TICK_FIELDS = {*logs.TICK_DONE, *logs.TICK_QUEUE, *logs.TICK_SWEPT}


def said(log: io.StringIO, message: str) -> list[Row]:
    """Return the log's lines of one message."""
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    return [line for line in found if line["message"] == message]


def test_a_tick_of_an_empty_stack_says_that_nothing_waits(stack: Stack, log: io.StringIO) -> None:
    stack.tick()
    [line] = said(log, logs.TICK)
    assert line["severity"] == "INFO"
    assert line.keys() >= TICK_FIELDS
    assert {line[name] for name in logs.TICK_QUEUE} == {0}


def test_a_tick_says_what_waits_and_how_long(stack_with: Make, gemini: GeminiEmulator, log: io.StringIO) -> None:
    gemini.faults = Faults(running_seconds=100_000)
    stack = stack_with(max_batches=1, shard_requests=1)
    running = stack.upload("a.jsonl", lines("one", "two", "three"))
    stack.upload("b.jsonl", jsonl([{"text": "a record without a recipe"}]))
    stack.run(running, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    stack.advance(500)
    stack.tick()
    line = said(log, logs.TICK)[-1]
    assert (line["queued"], line["in_flight"], line["held"], line["overdue"]) == (2, 1, 1, 0)
    assert 500 <= line["oldest_job_seconds"] < 600


def test_a_tick_counts_jobs_past_their_deadline(stack: Stack, gemini: GeminiEmulator, log: io.StringIO) -> None:
    gemini.faults = Faults(running_seconds=100_000)
    info = stack.upload("a.jsonl", lines("one"), {"deadline": "1h"})
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    stack.advance(3600)
    stack.tick()
    assert said(log, logs.TICK)[-1]["overdue"] == 1
    stack.run(info)
    stack.tick()
    assert said(log, logs.TICK)[-1]["overdue"] == 0


def test_a_tick_says_what_the_sweeps_found(stack: Stack, log: io.StringIO) -> None:
    stack.tick()
    with stack.objects.create("input", "lost.jsonl") as writer:
        writer.write(lines("one"))
        writer.close()
    stack.advance(1300)
    stack.tick()
    assert [line["swept_uploads"] for line in said(log, logs.TICK)] == [0, 1]


def test_an_ended_job_is_said_once_with_its_numbers(stack: Stack, log: io.StringIO) -> None:
    info = stack.upload("team/a.jsonl", lines("one", "two [[emulate:error=3]]") + b"no request\n", {"label-x": "y"})
    stack.run(info)
    stack.announce(info)
    stack.deliver()
    [line] = said(log, logs.JOB_ENDED)
    assert line["severity"] == "INFO"
    assert [line[name] for name in logs.JOB_ENDED_LABELS] == ["DONE", "partial", "gemini-2.5-flash-lite"]
    assert [line[name] for name in ("results", "errors", "rejections")] == [1, 1, 1]
    outcomes = {f"{logs.OUTCOME_PREFIX}{outcome}": 0 for outcome in Outcome}
    assert {name: line[name] for name in outcomes} == {**outcomes, "outcome_answered": 1, "outcome_error": 1}
    assert line["cost_usd"] > 0
    assert "team" not in line


def test_every_end_of_a_job_is_said(stack: Stack, log: io.StringIO) -> None:
    data = lines("one")
    stack.run(stack.upload("a.jsonl", data))
    stack.run(stack.upload("a.jsonl", data))
    stack.run(stack.upload("b.jsonl", b"not JSON at all"))
    assert [(line["state"], line["cost_usd"]) for line in said(log, logs.JOB_ENDED)[1:]] == [
        ("DUPLICATE", 0),
        ("REJECTED", 0),
    ]


def test_a_model_that_was_never_used_is_not_said(stack: Stack, log: io.StringIO) -> None:
    stack.run(stack.upload("a.jsonl", lines("one"), {"model": "what a user wrote"}))
    [line] = said(log, logs.JOB_ENDED)
    assert (line["state"], line["model"]) == ("REJECTED", None)


def test_a_cost_that_is_not_known_is_null(tmp_path: Path, log: io.StringIO) -> None:
    with GeminiEmulator(data_dir=tmp_path / "gemini", models=("gemini-of-tomorrow",)) as gemini:
        stack = make_stack(tmp_path, gemini)
        stack.run(stack.upload("a.jsonl", lines("one"), {"model": "gemini-of-tomorrow"}))
    [line] = said(log, logs.JOB_ENDED)
    assert (line["state"], line["model"], line["cost_usd"]) == ("DONE", "gemini-of-tomorrow", None)
