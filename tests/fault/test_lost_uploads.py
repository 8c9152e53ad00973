"""Lost events: found within the documented time, at a cost that does not grow with the uploads there were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchdrop.core.errors import TransientError
from batchdrop.core.state import names
from batchdrop.core.state.job import JobState
from batchdrop.ports import Collection, Document, Documents, IndexValue, Json, ObjectInfo, ObjectPage, Objects, Topic
from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.bench.counting import Counted, Tally
from tests.harness import Stack, lines, make_stack, wrapped

Make = Callable[..., Stack]
LATER = 1300
"""Seconds after which an event is taken for lost, and the next sweep is due."""


def put(stack: Stack, name: str, data: bytes = b"") -> ObjectInfo:
    """Put an object whose event never comes, over the one that is there."""
    there = stack.objects.stat("input", name)
    with stack.objects.create("input", name, if_generation_match=there.generation if there else 0) as writer:
        writer.write(data or lines(name))
        return writer.close()


def sweep(stack: Stack) -> None:
    """Let time pass until a sweep is due, then tick."""
    stack.advance(LATER)
    stack.tick()


def announced(stack: Stack) -> list[str]:
    """Take the announcements that wait; return the names of their objects."""
    found: list[str] = []
    while (message := stack.topics.lease(Topic.UPLOADS, 600)) is not None:
        found.append(message.attributes["objectId"])
        stack.topics.ack(message)
    return sorted(found)


class Crowded:
    """Objects whose input bucket holds so many uploads: a page is made up when it is asked for."""

    def __init__(self, objects: Objects, uploads: list[ObjectInfo]) -> None:
        self._objects = objects
        self._uploads = uploads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    def list(
        self, bucket: str, *, prefix: str = "", page_token: str | None = None, page_size: int = 1000
    ) -> ObjectPage:
        if bucket != "input":
            return self._objects.list(bucket, prefix=prefix, page_token=page_token, page_size=page_size)
        start = int(page_token or 0)
        end = start + page_size
        return ObjectPage(tuple(self._uploads[start:end]), str(end) if end < len(self._uploads) else None)


def with_ended_uploads(stack: Stack, count: int) -> Stack:
    """Return the stack with uploads whose jobs have ended: each has a copy of the document of one that ran."""
    info = stack.upload("model.jsonl", lines("one"))
    document = stack.documents.get(Collection.JOB, stack.run(info).job_id)
    assert document is not None
    assert document.data["state"] == JobState.DONE
    uploads = [replace(info, name=f"old/{number:05d}.jsonl") for number in range(count)]
    for upload in uploads:
        job_id = names.job_id(upload.bucket, upload.name, upload.generation)
        stack.documents.create(Collection.JOB, job_id, index=document.index, data={**document.data, "job_id": job_id})
    return wrapped(stack, objects=Crowded(stack.objects, uploads))


def documents_read(stack: Stack) -> int:
    """Return how many documents one sweep reads."""
    tally = Tally()
    sweep(wrapped(stack, documents=Counted("documents", stack.documents, tally)))
    return tally.calls["records.get"] + tally.documents["records.query"]


def test_a_sweep_reads_as_many_documents_whatever_ran_before(tmp_path: Path, gemini: GeminiEmulator) -> None:
    read: list[int] = []
    for count in (10, 10_000):
        (tmp_path / str(count)).mkdir()
        stack = make_stack(tmp_path / str(count), gemini, sweep_pages=20)
        stack.tick()
        stack = with_ended_uploads(stack, count)
        sweep(stack)
        read.append(documents_read(stack))
        assert announced(stack) == []
    assert read[0] == read[1]
    assert read[1] < 20


def test_an_upload_that_is_lost_after_a_clean_pass_is_found(stack: Stack) -> None:
    stack.tick()
    stack.run(stack.upload("b.jsonl", lines("one")))
    sweep(stack)
    put(stack, "a.jsonl")
    sweep(stack)
    assert announced(stack) == ["a.jsonl"]


def test_an_upload_that_replaces_one_that_ran_is_found(stack: Stack) -> None:
    stack.tick()
    stack.run(stack.upload("a.jsonl", lines("one")))
    sweep(stack)
    again = put(stack, "a.jsonl", lines("two"))
    sweep(stack)
    assert stack.run(again).state == "DONE"


def test_an_upload_is_announced_until_it_is_known(stack: Stack) -> None:
    stack.tick()
    put(stack, "a.jsonl")
    for _ in range(4):
        sweep(stack)
        assert announced(stack) == ["a.jsonl"]
    sweep(stack)
    stack.deliver()
    sweep(stack)
    assert announced(stack) == []


def test_an_upload_lost_while_a_pass_is_under_way_is_found_by_the_next(stack_with: Make) -> None:
    """The pass reads a page a sweep; what comes behind its cursor meanwhile must not be taken for seen."""
    stack = stack_with(sweep_pages=1)
    stack.tick()
    for number in range(1500):
        put(stack, f"m/{number:05d}.jsonl")
    stack.advance(LATER)
    stack.tick()
    put(stack, "a.jsonl")
    found = announced(stack)
    for _ in range(3):
        sweep(stack)
        found += announced(stack)
    assert found.count("a.jsonl") >= 1
    assert len(set(found)) == 1501


class Unsaved:
    """Records in which the sweep's place cannot be kept."""

    def __init__(self, records: Documents) -> None:
        self._records = records

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def replace(self, document: Document, *, index: Mapping[str, IndexValue], data: Json) -> Document:
        if (document.kind, document.id) == (Collection.META, "sweep"):
            raise TransientError("the store is away")
        return self._records.replace(document, index=index, data=data)


def test_an_upload_is_found_again_when_the_place_of_the_sweep_was_not_kept(stack: Stack) -> None:
    stack.tick()
    put(stack, "a.jsonl")
    sweep(wrapped(stack, documents=Unsaved(stack.documents)))
    assert announced(stack) == ["a.jsonl"]
    stack.tick()
    assert announced(stack) == ["a.jsonl"]
