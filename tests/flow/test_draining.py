"""Draining a stack: nothing stays at the provider, no answered line is lost, and nothing new is sent meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from batchdrop.core.settings import CommonSettings
from batchdrop.ports import Collection, ObjectInfo
from batchdrop.steps.drain import Left, drain
from batchdrop.steps.stack import pause, paused, resume
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.harness import Stack, assert_accounted, jsonl, lines, request

Make = Callable[..., Stack]


def drained(stack: Stack, seconds: float = 7200) -> tuple[Left, list[Left]]:
    """Drain while the stack works; return what is left and what was told."""
    told: list[Left] = []

    def work(pause: float) -> None:
        stack.deliver()
        stack.advance(pause)
        stack.tick()

    return drain(stack.context(CommonSettings), "somebody", seconds, work, told.append), told


def at_provider(stack: Stack, info: ObjectInfo) -> None:
    """Run until a batch of the upload is at the provider."""
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))


def test_a_drained_stack_has_nothing_at_the_provider(stack_with: Make, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=100_000)
    stack = stack_with(max_batches=1, shard_requests=1)
    running = stack.upload("a.jsonl", lines("one", "two", "three"))
    at_provider(stack, running)
    held = stack.upload("b.jsonl", jsonl([{"text": "a record without a recipe"}]))
    stack.deliver()
    left, told = drained(stack)
    assert left.nothing()
    assert told[0].batches() == 1
    assert told[-1].nothing()
    for info in (running, held):
        assert stack.find_by(info).state == "CANCELLED"
    assert_accounted(stack, stack.find_by(running))
    assert gemini.files() == []
    assert [batch for batch in gemini.batches() if batch["metadata"]["state"] == "BATCH_STATE_RUNNING"] == []


def test_a_context_cache_is_deleted(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=100_000)
    shared = {"systemInstruction": {"parts": [{"text": "what all requests share. " * 3000}]}}
    data = jsonl({"key": f"k{number}", "request": {**shared, **request(f"t{number}")}} for number in range(3))
    info = stack.upload("a.jsonl", data, {"cache": "required"})
    at_provider(stack, info)
    assert len(stack.provider.list_caches().caches) == 1
    left, told = drained(stack)
    assert (told[0].caches(), left.nothing()) == (1, True)
    assert stack.provider.list_caches().caches == ()


def test_lines_that_were_answered_are_delivered(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=60)
    info = stack.upload("a.jsonl", lines("one", "two"))
    at_provider(stack, info)
    gemini.advance(120)
    left, _ = drained(stack)
    job = stack.find_by(info)
    assert left.nothing()
    assert job.counts.results == 2
    assert_accounted(stack, job)


def test_a_stack_that_is_paused_sends_nothing_and_goes_on_when_it_is_resumed(
    stack: Stack, gemini: GeminiEmulator
) -> None:
    assert drained(stack, 0)[0].nothing()
    info = stack.upload("a.jsonl", lines("one"))
    for _ in range(5):
        stack.deliver()
        stack.advance(60)
        stack.tick()
    assert gemini.calls["create"] == gemini.calls["upload.start"] == 0
    assert [shard.state for shard in stack.shards(stack.find_by(info).job_id)] == ["QUEUED"]
    resume(stack.context(CommonSettings))
    resume(stack.context(CommonSettings))
    assert stack.run(info).counts.results == 1


def test_a_shard_that_was_staged_when_the_pause_began_is_not_created(stack: Stack, gemini: GeminiEmulator) -> None:
    info = stack.upload("a.jsonl", lines("one"))
    stack.deliver_one()
    assert [shard.state for shard in stack.shards(stack.find_by(info).job_id)] == ["STAGING"]
    context = stack.context(CommonSettings)
    pause(context, context.later(7200), "somebody")
    for _ in range(5):
        stack.deliver()
        stack.advance(60)
        stack.tick()
    assert gemini.calls["create"] == gemini.calls["upload.start"] == 0
    resume(context)
    assert stack.run(info).counts.results == 1


def test_a_pause_ends_by_itself(stack: Stack) -> None:
    drained(stack, 0)
    context = stack.context(CommonSettings)
    assert paused(context)
    document = stack.documents.get(Collection.META, "stack")
    assert document is not None
    assert document.data["paused"]["by"] == "somebody"
    stack.advance(24 * 3600)
    assert not paused(context)
