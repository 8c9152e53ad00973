"""An upload at which the function that works on it ends each time: it is given up, and every other job goes on.

A record that is computed without end, or that fills the memory, ends its function from outside: nothing in the code can
catch that, the lease stays taken and the message unanswered. `Crash` is that end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchdrop.core.state import names
from batchdrop.core.state.job import Job
from batchdrop.ports import ObjectInfo
from tests.fault.killing import Crash
from tests.harness import Stack, assert_accounted, lines, wrapped

LEASE_OVER_SECONDS = 660
"""More than a lease; 11 ticks, so that a batch that is looked at every fifth or tenth tick has its turn."""
MAX_CLAIMS = 5
Ended = tuple[str, str | None, list[str]]
"""State and code of a job, codes of its error rows."""
FAILED: Ended = ("FAILED", "POISONED", [])
UNSENT: Ended = ("DONE", None, ["POISONED"])
UNREAD: Ended = ("DONE", None, ["RESULTS_LOST"])


class Deadly:
    """A port whose process dies in one method, each time a call names something of the marked job."""

    def __init__(self, port: object, method: str, marks: Callable[[str], bool]) -> None:
        self._port = port
        self._method = method
        self._marks = marks
        self.deaths = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._dying(found) if name == self._method else found

    def _dying(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: object, **options: object) -> Any:
            if self._marks(repr((args, options))):
                self.deaths += 1
                raise Crash(self._method)
            return method(*args, **options)

        return call


def marks_of(stack: Stack, job_id: str, bucket: str) -> Callable[[str], bool]:
    """Tell calls that name the bucket, if any, and the job or a batch of it."""

    def marked(told: str) -> bool:
        ours = [job_id, *(shard.batch.name for shard in stack.shards(job_id) if shard.batch.name)]
        return bucket in told and any(mark in told for mark in ours)

    return marked


def alive(step: Callable[[], object]) -> None:
    """Do a step again until nothing dies in it: messages of the dead stay leased, the others are handled."""
    for _ in range(50):
        try:
            step()
        except Crash:
            continue
        return
    raise AssertionError("it dies without end")


def lease_by_lease(stack: Stack, info: ObjectInfo, count: int) -> Job | None:
    """Let leases run out, one after another, until the job has ended."""
    job: Job | None = None
    for _ in range(count):
        for step in (stack.deliver, stack.tick, stack.deliver):
            alive(step)
        job = stack.find_or_none(info)
        if job is not None and job.state.terminal and job.cleaned:
            break
        stack.advance(LEASE_OVER_SECONDS)
    return job


@pytest.mark.parametrize(
    ("port", "method", "bucket", "ended", "deaths"),
    [
        ("objects", "copy", "'work'", FAILED, MAX_CLAIMS),
        ("objects", "read", "'work'", FAILED, MAX_CLAIMS),
        ("provider", "stage", "", UNSENT, MAX_CLAIMS),
        ("provider", "results", "", UNREAD, 3 * MAX_CLAIMS),
        ("objects", "create", "'output'", FAILED, MAX_CLAIMS),
    ],
    ids=["snapshot", "planning", "staging", "results", "output"],
)
def test_an_upload_that_ends_every_function_is_given_up_and_others_go_on(
    stack: Stack, port: str, method: str, bucket: str, ended: Ended, deaths: int
) -> None:
    stack.tick()
    bad = stack.upload("bad.jsonl", lines("bad"))
    marked = marks_of(stack, names.job_id(bad.bucket, bad.name, bad.generation), bucket)
    deadly = Deadly(getattr(stack, port), method, marked)
    dying = wrapped(stack, **{port: deadly})
    good = dying.upload("good.jsonl", lines("good"))
    job = lease_by_lease(dying, bad, 4)
    assert job is not None
    assert not job.state.terminal
    assert (stack.find_by(good).state, stack.find_by(good).verdict) == ("DONE", "complete")
    job = lease_by_lease(dying, bad, 40)
    assert job is not None
    codes = [row["code"] for row in stack.rows(job, "errors")]
    assert (job.state, job.failure.code if job.failure else None, codes) == ended
    assert deadly.deaths == deaths
    if job.state == "DONE":
        assert_accounted(stack, job)
