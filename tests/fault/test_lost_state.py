"""Documents that are lost or doubled: nothing that runs is paid again, and no two stacks fight over a batch."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.core.settings import CommonSettings, PollSettings
from batchdrop.core.state.batch import BatchRef, NoBatch
from batchdrop.core.state.shard_state import ShardState
from batchdrop.ports import ObjectInfo
from batchdrop.steps.stack import stack_id
from batchdrop.steps.take_over import take_over
from batchdrop_local.emulators.gemini import CallFault, Faults, GeminiEmulator
from tests.fault.killing import Crash
from tests.harness import Stack, assert_accounted, create_by_hand, lines, wrapped

Make = Callable[..., Stack]


def submitted(stack: Stack, data: bytes) -> ObjectInfo:
    """Upload a file and wait until its batch is running."""
    stack.tick()
    info = stack.upload("a.jsonl", data)
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    return info


def without_documents(stack: Stack, tmp_path: Path) -> Stack:
    """Return the stack as it is when its documents are gone: buckets, messages and batches are as they were."""
    return wrapped(stack, documents=SqliteDocuments(tmp_path / "fresh.sqlite"))


def creates(gemini: GeminiEmulator) -> int:
    return gemini.calls["create"]


# ------------------------------------------------------------------------------------------- documents lost
def test_a_stack_without_its_documents_finds_the_batches_that_run(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path, log: io.StringIO
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = submitted(stack, lines("one", "two"))
    before = stack_id(stack.context(PollSettings))
    again = without_documents(stack, tmp_path)
    job = again.run(info, until=lambda job: job.state.terminal and job.cleaned)
    assert_accounted(again, job)
    assert (job.state, job.counts.results, creates(gemini)) == ("DONE", 2, 1)
    assert stack_id(again.context(PollSettings)) == before
    assert "the stack's documents were lost" in log.getvalue()


def test_an_upload_that_was_answered_is_recorded_not_run_again(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path
) -> None:
    stack.tick()
    info = stack.upload("a.jsonl", lines("one"))
    first = stack.run(info)
    again = without_documents(stack, tmp_path)
    job = again.run(info)
    assert (job.state, job.manifest) == ("DONE", first.manifest)
    assert creates(gemini) == 1
    assert len(again.completions()) == 1


def test_an_upload_that_came_after_the_loss_does_not_wait(stack: Stack, gemini: GeminiEmulator, tmp_path: Path) -> None:
    stack.tick()
    again = without_documents(stack, tmp_path)
    again.tick()
    again.advance(1000)
    again.tick()
    began = again.clock.now()
    job = again.run(again.upload("b.jsonl", lines("one")))
    assert job.counts.results == 1
    assert (again.clock.now() - began).total_seconds() < 600


def test_a_stack_that_starts_alone_without_its_documents_finds_its_batches_within_a_minute(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = submitted(stack, lines("one", "two"))
    before = stack_id(stack.context(PollSettings))
    again = without_documents(stack, tmp_path)
    began = again.clock.now()
    take_over(again.context(CommonSettings))
    again.tick()
    again.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in again.shards(job.job_id)))
    assert (again.clock.now() - began).total_seconds() < 60
    job = again.run(info)
    assert_accounted(again, job)
    assert (job.state, job.counts.results, creates(gemini)) == ("DONE", 2, 1)
    assert stack_id(again.context(PollSettings)) == before


# ------------------------------------------------------------------------------------------ documents doubled
def test_a_second_stack_of_one_identity_stops_and_says_why(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path, log: io.StringIO
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    submitted(stack, lines("one"))
    second = without_documents(stack, tmp_path)
    second.tick()
    info = second.upload("b.jsonl", lines("two"))
    for _ in range(6):
        second.deliver()
        second.advance(290)
        stack.tick()
        second.tick()
    assert "STACK_TWICE" in log.getvalue()
    assert "another stack with this identity is at work" in log.getvalue()
    assert creates(gemini) == 1
    assert {batch["metadata"]["state"] for batch in gemini.batches()} == {"BATCH_STATE_RUNNING"}
    second.advance(800)  # the first one is silent from now on
    job = second.run(info)
    assert job.counts.results == 1


def test_a_stack_that_was_wrong_about_being_alone_stops_the_other_one(
    stack: Stack, tmp_path: Path, log: io.StringIO
) -> None:
    stack.tick()
    second = without_documents(stack, tmp_path)
    take_over(second.context(CommonSettings))
    second.tick()
    assert "STACK_TWICE" not in log.getvalue()
    stack.advance(301)
    stack.tick()
    assert "STACK_TWICE" in log.getvalue()


def test_a_batch_older_than_the_loss_is_reported_never_cancelled(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path, log: io.StringIO
) -> None:
    gemini.faults = Faults(running_seconds=90_000)
    info = submitted(stack, lines("one"))
    [shard] = stack.shards(stack.find_by(info).job_id)
    twin = create_by_hand(stack, gemini.batches()[0]["metadata"]["displayName"], shard.file)
    again = without_documents(stack, tmp_path)
    job = again.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in again.shards(job.job_id)))
    again.advance(3000)
    again.tick()
    assert again.shards(job.job_id)[0].batch.duplicates == (twin,)
    assert again.provider.get(twin).state == "RUNNING"  # type: ignore[union-attr]


# ---------------------------------------------------------------------------------------------- shards in doubt
class Dying:
    """A provider whose process dies at every look for a batch, as often as told."""

    def __init__(self, inner: object, times: int) -> None:
        self._inner = inner
        self.left = times

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def create(self, intent: object) -> object:
        self._inner.create(intent)  # type: ignore[attr-defined]
        raise Crash("create")

    def find(self, intent: object, over: object) -> object:
        if self.left:
            self.left -= 1
            raise Crash("find")
        return self._inner.find(intent, over)  # type: ignore[attr-defined]


def test_five_crashes_in_doubt_do_not_hide_a_batch_that_runs(stack: Stack, gemini: GeminiEmulator) -> None:
    dying = wrapped(stack, provider=Dying(stack.provider, 7))
    info = dying.upload("a.jsonl", lines("one"))
    for _ in range(12):
        try:
            dying.deliver()
            dying.tick()
        except Crash:
            pass
        dying.advance(700)
    job = stack.run(info)
    assert_accounted(stack, job)
    assert (job.counts.results, creates(gemini)) == (1, 1)


def test_the_batch_of_a_shard_that_ended_without_one_is_cancelled_and_reported(
    stack: Stack, gemini: GeminiEmulator, log: io.StringIO
) -> None:
    gemini.faults = Faults(running_seconds=90_000)
    info = submitted(stack, lines("one"))
    job_id = stack.find_by(info).job_id
    context = stack.context(PollSettings)
    stored = context.store.shard(stack.shards(job_id)[0].shard_id)
    assert stored is not None
    batch = stored.value.batch.name
    gone = BatchRef(state=NoBatch.NONE)
    context.store.change(
        stored, lambda shard: shard.model_copy(update={"state": ShardState.ENDED, "batch": gone, "due_at": None})
    )
    stack.advance(3000)
    stack.tick()
    assert "orphan batch found" in log.getvalue()
    assert stack.provider.get(batch).state == "CANCELLED"  # type: ignore[union-attr]


def test_a_lost_create_is_found_within_seconds(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=60, calls=(CallFault("create", lose=True, times=1),))
    info = stack.upload("a.jsonl", lines("one"))
    began = stack.clock.now()
    stack.deliver()
    [shard] = stack.shards(stack.find_by(info).job_id)
    assert shard.state == "SUBMITTED"
    assert (stack.clock.now() - began).total_seconds() < 30


# -------------------------------------------------------------------------------------------------- another key
class Rekeyed:
    """The provider with the key of another project: what the first key made is not there."""

    def __init__(self, inner: object, made: set[str]) -> None:
        self._inner = inner
        self.foreign = made

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def account(self) -> str:
        return "another"

    def get(self, name: str) -> object:
        return None if name in self.foreign else self._inner.get(name)  # type: ignore[attr-defined]


def test_a_batch_that_the_new_key_cannot_reach_is_waited_for_not_paid_again(
    stack: Stack, gemini: GeminiEmulator, log: io.StringIO
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    info = submitted(stack, lines("one"))
    [shard] = stack.shards(stack.find_by(info).job_id)
    rekeyed = wrapped(stack, provider=Rekeyed(stack.provider, {shard.batch.name}))
    rekeyed.advance(3000)
    for _ in range(6):
        rekeyed.advance(60)
        rekeyed.tick()
        rekeyed.deliver()
    assert rekeyed.shards(shard.job_id)[0].state == "SUBMITTED"
    assert "batch unreachable with this key" in log.getvalue()
    job = stack.run(info)  # the old key is back
    assert (job.counts.results, creates(gemini)) == (1, 1)


def test_a_batch_that_stays_out_of_reach_ends_with_its_job(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=90_000)
    info = submitted(stack, lines("one"))
    [shard] = stack.shards(stack.find_by(info).job_id)
    rekeyed = wrapped(stack, provider=Rekeyed(stack.provider, {shard.batch.name}))
    rekeyed.advance(73 * 3600)
    job = rekeyed.run(info)
    assert_accounted(rekeyed, job)
    assert (job.counts.errors, creates(gemini)) == (1, 1)


def test_a_file_of_the_old_key_is_staged_again(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(calls=(CallFault("create", status=429, times=1),))
    info = stack.upload("a.jsonl", lines("one"))
    stack.deliver()
    [shard] = stack.shards(stack.find_by(info).job_id)
    assert shard.file
    job = wrapped(stack, provider=Rekeyed(stack.provider, set())).run(info)
    assert job.counts.results == 1
    [again] = stack.shards(job.job_id)
    assert (again.account, again.file == shard.file) == ("another", False)
