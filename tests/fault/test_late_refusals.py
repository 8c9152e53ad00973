"""Batches that are accepted and refused later, having run nothing: their shards wait in the queue and get others.

The provider here says so of the first batch, however often it is asked; the schedules are those a model found.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.ports import Batch, BatchState, Cause, Created, Failed, Intent, ObjectInfo
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.harness import Stack, assert_accounted, lines, wrapped


@dataclass
class Refusing:
    """A provider that refuses the first batch it made, late; before it says so once, others go on."""

    inner: Any
    others: Callable[[], object] | None = None
    refused: str = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def create(self, intent: Intent) -> Created:
        made: Created = self.inner.create(intent)
        if isinstance(made, Batch):
            self.refused = self.refused or made.name
        return made

    def get(self, name: str) -> Batch | None:
        batch = self.inner.get(name)
        if name != self.refused:
            return batch
        others, self.others = self.others, None
        if others is not None:
            others()
        full = Failed(Cause.WAIT, "TOKEN_LIMIT_EXCEEDED")
        return replace(batch, state=BatchState.FAILED, raw_state="failed", parts=(), failed=full)


def the_shard(stack: Stack, info: ObjectInfo) -> Shard:
    [shard] = stack.shards(stack.find_by(info).job_id)
    return shard


def submitted_again(stack: Stack, info: ObjectInfo) -> Job:
    """Go on until the shard waits for its second batch."""
    return stack.run(info, until=lambda job: any(_second(shard) for shard in stack.shards(job.job_id)))


def _second(shard: Shard) -> bool:
    return shard.state == "SUBMITTED" and len(shard.past) == 1


def test_a_batch_refused_late_is_made_again_from_the_same_file_and_the_manifest_says_so(
    stack: Stack, gemini: GeminiEmulator
) -> None:
    refusing = wrapped(stack, provider=Refusing(stack.provider))
    info = refusing.upload("a.jsonl", lines("one", "two"))
    submitted_again(refusing, info)
    first = the_shard(refusing, info).file
    job = refusing.run(info)
    assert_accounted(refusing, job)
    shard = the_shard(refusing, info)
    assert (job.counts.results, gemini.calls["create"], shard.file) == (2, 2, first)
    batches = [(batch["name"], batch["state"]) for batch in refusing.manifest(job)["batches"]]
    assert batches == [(shard.past[0], "REFUSED"), (shard.batch.name, shard.batch.raw_state)]


def test_a_look_that_comes_late_does_not_requeue_the_batch_that_runs_now(stack: Stack, gemini: GeminiEmulator) -> None:
    """Both looks saw the first batch refused; between them the shard was created again."""
    gemini.faults = Faults(running_seconds=3600)
    provider = Refusing(stack.provider)
    refusing = wrapped(stack, provider=provider)
    info = refusing.upload("a.jsonl", lines("one"))
    refusing.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    provider.others = lambda: submitted_again(refusing, info)
    refusing.tick()
    running = the_shard(refusing, info)
    assert (running.state, running.past) == ("SUBMITTED", (provider.refused,))
    assert running.batch.name != provider.refused
    job = refusing.run(info)
    assert_accounted(refusing, job)
    assert gemini.calls["create"] == 2


def test_a_batch_that_was_refused_is_not_adopted_when_the_next_creates_answer_is_lost(
    stack: Stack, gemini: GeminiEmulator
) -> None:
    gemini.faults = Faults(calls=(CallFault("create", lose=True, skip=1, times=1),))
    provider = Refusing(stack.provider)
    refusing = wrapped(stack, provider=provider)
    job = refusing.run(refusing.upload("a.jsonl", lines("one")))
    assert_accounted(refusing, job)
    [shard] = refusing.shards(job.job_id)
    assert (shard.past, gemini.calls["create"]) == ((provider.refused,), 2)
    assert shard.batch.name != provider.refused


def test_a_batch_that_was_refused_is_no_orphan(stack: Stack, gemini: GeminiEmulator, log: io.StringIO) -> None:
    gemini.faults = Faults(running_seconds=90_000)
    refusing = wrapped(stack, provider=Refusing(stack.provider))
    info = refusing.upload("a.jsonl", lines("one"))
    submitted_again(refusing, info)
    for _ in range(3):
        refusing.advance(3000)
        refusing.tick()
    assert "orphan batch found" not in log.getvalue()
    assert the_shard(refusing, info).batch.duplicates == ()
