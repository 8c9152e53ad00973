"""The identity's object is damaged: nothing is created in doubt, nothing is lost, and it goes on once it is mended."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.core.settings import CommonSettings, PollSettings
from batchdrop.core.state import names
from batchdrop.steps.stack import recovered_at, stack_id
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from batchdrop_local.stack.owning import FolderError
from batchdrop_local.stack.stack import begin_alone
from tests.harness import Stack, assert_accounted, lines, wrapped

IDENTITY = names.identity()
SENTENCE = "is damaged: restore it, or delete it if no batch of this stack is running"


def put(stack: Stack, data: bytes) -> bytes:
    """Write the identity's object; return what it was."""
    info = stack.objects.stat("output", IDENTITY)
    assert info is not None
    before = b"".join(stack.objects.read("output", IDENTITY))
    with stack.objects.create("output", IDENTITY, if_generation_match=info.generation) as writer:
        writer.write(data)
        writer.close()
    return before


def driven(stack: Stack, seconds: int) -> None:
    """Let the stack do what it can for so long."""
    for _ in range(seconds // 60):
        stack.deliver()
        stack.tick()
        stack.advance(60)


def without_documents(stack: Stack, tmp_path: Path) -> Stack:
    return wrapped(stack, documents=SqliteDocuments(tmp_path / "fresh.sqlite"))


@pytest.mark.parametrize("mend", ["restored", "deleted"])
def test_a_stack_without_documents_and_with_a_damaged_identity_waits_until_it_is_mended(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path, log: io.StringIO, mend: str
) -> None:
    stack.tick()
    before = stack_id(stack.context(PollSettings))
    whole = put(stack, b'{"stack_id": ')
    again = wrapped(without_documents(stack, tmp_path), answers=[])
    info = again.upload("a.jsonl", lines("one", "two"))
    driven(again, 1800)
    assert {status for _, status in again.answers} == {503}, "the upload's message was acknowledged"
    assert SENTENCE in log.getvalue()
    assert (gemini.calls["upload.start"], gemini.calls["create"]) == (0, 0)
    if mend == "restored":
        put(again, whole)
    else:
        again.objects.delete("output", IDENTITY)
    again.announce(info)  # as the broker does with what was not acknowledged, after a pause of real time
    job = again.run(info)
    assert_accounted(again, job)
    assert (job.counts.results, gemini.calls["create"]) == (2, 1)
    assert (stack_id(again.context(PollSettings)) == before) == (mend == "restored")


def test_a_batch_that_runs_while_the_identity_is_damaged_and_the_documents_are_lost_is_found(
    stack: Stack, gemini: GeminiEmulator, tmp_path: Path
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    stack.tick()
    info = stack.upload("a.jsonl", lines("one"))
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    whole = put(stack, b"")
    again = without_documents(stack, tmp_path)
    driven(again, 900)
    put(again, whole)
    driven(again, 900)
    job = again.run(info)
    assert_accounted(again, job)
    assert (job.counts.results, gemini.calls["create"]) == (1, 1)


def test_a_stack_that_has_its_documents_writes_a_damaged_identity_anew(
    stack: Stack, gemini: GeminiEmulator, log: io.StringIO
) -> None:
    gemini.faults = Faults(running_seconds=3600)
    stack.tick()
    info = stack.upload("a.jsonl", lines("one"))
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    before = stack_id(stack.context(PollSettings))
    put(stack, b"{}")
    stack.advance(301)
    stack.tick()
    assert "the stack's identity was damaged and is written anew" in log.getvalue()
    assert recovered_at(stack.context(CommonSettings)) is not None, "which mark it held, nobody knows"
    job = stack.run(info)
    assert (job.counts.results, gemini.calls["create"]) == (1, 1)
    assert json.loads(b"".join(stack.objects.read("output", IDENTITY)))["stack_id"] == before


def test_a_stack_that_starts_alone_says_that_its_identity_is_damaged(stack: Stack, tmp_path: Path) -> None:
    stack.tick()
    put(stack, b"{}")
    with pytest.raises(FolderError, match=SENTENCE):
        begin_alone(without_documents(stack, tmp_path).context(CommonSettings), restored=False)
