"""The same request twice: run once, waited for while it runs, taken over when it failed, never mistaken for another."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import timedelta

import pytest

from batchdrop.core.state.identity import WAITING
from batchdrop.core.state.job import Job, JobState
from batchdrop.ports import Collection
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from tests.harness import Stack, assert_accounted, jsonl, lines, request

Make = Callable[..., Stack]
CSV = b"id,text\n1,good\n2,bad\n"
RECIPE = b"prompt: 'Is this good? {{ text }}'\n"
BROKEN = b"prompt: 'Is this good? {{ text }} {{ id.nope.nope }}'\nkey: nope\n"


def put(stack: Stack, name: str, data: bytes) -> None:
    stack.upload(name, data)
    stack.deliver()


def code(job: Job) -> str:
    return job.failure.code if job.failure else ""


def held(stack: Stack, name: str, data: bytes) -> Job:
    """Upload what waits for another job; return it held."""
    return stack.run(stack.upload(name, data), until=lambda job: job.state == "HELD")


# ------------------------------------------------------------------------------------- what is another request
def test_the_same_table_under_a_changed_recipe_runs(stack: Stack) -> None:
    put(stack, "team/recipe.yaml", RECIPE)
    assert stack.run(stack.upload("team/a.csv", CSV)).state == "DONE"
    put(stack, "team/recipe.yaml", RECIPE.replace(b"good", b"bad"))
    job = stack.run(stack.upload("team/a.csv", CSV))
    assert (job.state, job.counts.results) == ("DONE", 2)


def test_a_rejected_upload_runs_when_its_recipe_was_mended(stack: Stack) -> None:
    put(stack, "team/recipe.yaml", BROKEN)
    assert code(stack.run(stack.upload("team/a.csv", CSV))) == "ALL_LINES_REJECTED"
    put(stack, "team/recipe.yaml", RECIPE)
    job = stack.run(stack.upload("team/a.csv", CSV))
    assert (job.state, job.counts.results) == ("DONE", 2)


def test_a_rejected_upload_is_nobodys_original(stack: Stack) -> None:
    data = lines("one") + b"{}\n"
    first = stack.run(stack.upload("a.jsonl", data, {"policy": "strict"}))
    second = stack.run(stack.upload("a.jsonl", data, {"policy": "strict"}))
    assert (code(first), code(second)) == ("STRICT_POLICY", "STRICT_POLICY")


def test_metadata_and_model_and_team_make_another_request(stack: Stack) -> None:
    data = lines("one")
    uploads = [
        stack.upload("blue/a.jsonl", data),
        stack.upload("blue/b.jsonl", data, {"label-run": "2"}),
        stack.upload("blue/c.jsonl", data, {"model": "gemini-2.5-flash"}),
        stack.upload("red/a.jsonl", data),
    ]
    assert [stack.run(info).state for info in uploads] == ["DONE"] * 4


def test_what_copying_tools_note_of_a_file_does_not(stack: Stack) -> None:
    stack.run(stack.upload("a.jsonl", lines("one"), {"goog-reserved-file-mtime": "1"}))
    assert stack.run(stack.upload("a.jsonl", lines("one"), {"goog-reserved-file-mtime": "2"})).state == "DUPLICATE"


def test_a_picture_that_was_replaced_makes_another_request(stack: Stack) -> None:
    part = {"fileData": {"fileUri": "gs://input/a.png", "mimeType": "image/png"}}
    data = jsonl([{"key": "k", "request": {"contents": [{"parts": [part, {"text": "what is it?"}]}]}}])
    stack.upload("a.png", b"one picture")
    assert stack.run(stack.upload("a.jsonl", data)).state == "DONE"
    assert stack.run(stack.upload("a.jsonl", data)).state == "DUPLICATE"
    stack.upload("a.png", b"another picture")
    assert stack.run(stack.upload("a.jsonl", data)).state == "DONE"


def test_each_word_of_again_runs_once(stack: Stack) -> None:
    words = [{}, {"again": "1"}, {"again": "1"}, {"again": "2"}, {}]
    states = [stack.run(stack.upload("a.jsonl", lines("one"), again)).state for again in words]
    assert states == ["DONE", "DONE", "DUPLICATE", "DONE", "DUPLICATE"]


# ---------------------------------------------------------------------------------------- what is the same one
@pytest.mark.parametrize(("name", "pack"), [("b.jsonl", False), ("deep/b.jsonl.gz", True)])
def test_a_renamed_upload_is_answered_by_the_rows_there_are(stack: Stack, name: str, pack: bool) -> None:
    data = lines("one", "two")
    first = stack.run(stack.upload("team/a.jsonl", data))
    second = stack.run(stack.upload(f"team/{name}", gzip.compress(data) if pack else data))
    assert (second.state, second.duplicate_of) == ("DUPLICATE", first.job_id)
    assert stack.manifest(second)["duplicate_of"] == {"job_id": first.job_id, "manifest": first.manifest}
    said = [body.get("duplicate_of") for body, _ in stack.completions()]
    assert said == [None, {"job_id": first.job_id, "manifest": first.manifest}]
    assert stack.gemini.calls["create"] == 1


def test_how_long_planning_took_makes_no_other_request(stack_with: Make) -> None:
    data = lines(*(f"review {n}" for n in range(60)))
    stack = stack_with(range_lines=7)
    first = stack.run(stack.upload("team/a.jsonl", data))
    stack.overrides = {"range_lines": 7, "call_seconds": 1e-6}
    second = stack.run(stack.upload("team/b.jsonl", data))
    assert second.plan.step > 2
    assert (second.state, second.duplicate_of) == ("DUPLICATE", first.job_id)


def test_rejected_lines_come_again_for_certain_so_they_are_no_reason_to_pay_again(stack: Stack) -> None:
    data = lines("one") + b"{}\n"
    assert stack.run(stack.upload("a.jsonl", data)).verdict == "partial"
    assert stack.run(stack.upload("a.jsonl", data)).state == "DUPLICATE"


def test_a_window_that_is_over_lets_the_same_bytes_run_again(stack_with: Make) -> None:
    stack = stack_with(duplicate_days=2)
    states = []
    for hours in (0, 24, 25):
        stack.advance(3600 * hours)
        states.append(stack.run(stack.upload("a.jsonl", lines("one"))).state)
    assert states == ["DONE", "DUPLICATE", "DONE"]


def test_no_window_runs_everything(stack_with: Make) -> None:
    stack = stack_with(duplicate_days=0)
    stack.run(stack.upload("a.jsonl", lines("one")))
    assert stack.run(stack.upload("a.jsonl", lines("one"))).state == "DONE"


# ------------------------------------------------------------------------------------------------ two at once
def test_of_two_at_once_one_runs_and_the_other_waits_for_it(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200)
    first = stack.upload("team/a.jsonl", lines("one"))
    waiting = held(stack, "team/b.jsonl", lines("one"))
    assert code(waiting) == "SAME_AS"
    assert first.name in (waiting.failure.message if waiting.failure else "")
    assert stack.run(first).state == "DONE"
    ended = stack.run(stack.objects_info(waiting))
    assert (ended.state, ended.duplicate_of) == ("DUPLICATE", stack.find_by(first).job_id)
    assert gemini.calls["create"] == 1


def test_one_that_waits_takes_over_when_the_first_is_cancelled(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200)
    first = stack.upload("team/a.jsonl", lines("one"), {"deadline": "3h"})
    second = stack.upload("team/b.jsonl", lines("one"), {"deadline": "3h"})
    stack.run(second, until=lambda job: job.state == "HELD")
    stack.advance(3600)
    stack.want(first, "cancel")
    gemini.faults = Faults()
    assert stack.run(first).state == "CANCELLED"
    job = stack.run(second)
    assert (job.state, job.counts.results) == ("DONE", 1)
    assert job.deadline_at - job.created_at > timedelta(hours=4), "the wait moved its deadline"
    assert_accounted(stack, job)


def test_an_original_with_error_rows_lets_the_next_run(stack: Stack, gemini: GeminiEmulator) -> None:
    data = lines("one", "two [[emulate:error=3]]")
    assert stack.run(stack.upload("a.jsonl", data)).verdict == "partial"
    assert stack.run(stack.upload("a.jsonl", data)).counts.results == 1
    assert gemini.calls["create"] == 2


def test_an_original_held_for_its_cost_is_waited_for(stack: Stack) -> None:
    first = stack.upload("a.jsonl", lines("one"), {"max-cost": "0.0000001"})
    assert code(stack.run(first, until=lambda job: job.state == "HELD")) == "OVER_MAX_COST"
    second = stack.upload("b.jsonl", lines("one"), {"max-cost": "0.0000001"})
    assert code(stack.run(second, until=lambda job: job.state == "HELD")) == "SAME_AS"
    stack.want(first, "release")
    assert stack.run(first).state == "DONE"
    assert stack.run(second).state == "DUPLICATE"


def test_an_original_nobody_remembers_is_no_original(stack: Stack) -> None:
    first = stack.run(stack.upload("a.jsonl", lines("one")))
    document = stack.documents.get(Collection.JOB, first.job_id)
    assert document is not None
    assert stack.documents.delete(document)
    assert stack.run(stack.upload("a.jsonl", lines("one"))).state == "DONE"


def test_a_request_that_is_equal_but_for_its_keys_is_another(stack: Stack) -> None:
    rows = [{"key": key, "request": request("one")} for key in ("a", "b")]
    states = [stack.run(stack.upload(f"{row['key']}.jsonl", jsonl([row]))).state for row in rows]
    assert states == ["DONE", "DONE"]


# ----------------------------------------------------------------------------------------- the wake at the end
@pytest.mark.parametrize("end", ["DONE", "CANCELLED"])
def test_what_waits_goes_on_when_the_first_ends_not_when_it_looks_again(
    stack: Stack, gemini: GeminiEmulator, end: str
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    first = stack.upload("team/a.jsonl", lines("one"))
    waiting = held(stack, "team/b.jsonl", lines("one"))
    stack.advance(3600)
    stack.run(stack.objects_info(waiting), until=lambda job: job.state == "HELD" and job.due_at != waiting.due_at)
    if end == "CANCELLED":
        stack.want(first, "cancel")
        gemini.faults = Faults()
    assert stack.run(first).state == end
    due_at, went_on = stack.find_by(stack.objects_info(waiting)).due_at, stack.clock.now()
    stack.deliver()
    job = stack.find_by(stack.objects_info(waiting))
    assert job.state == ("DUPLICATE" if end == "DONE" else "RUNNING")
    assert due_at is None or due_at - went_on > timedelta(minutes=5)


def test_what_waits_behind_a_take_over_is_woken_by_the_end_of_who_took_over(
    stack: Stack, gemini: GeminiEmulator
) -> None:
    gemini.faults = Faults(running_seconds=7200)
    uploads = [stack.upload(f"team/{name}.jsonl", lines("one")) for name in "abc"]
    stack.run(uploads[2], until=lambda job: job.state == "HELD")
    stack.want(uploads[0], "cancel")
    assert stack.run(uploads[0]).state == "CANCELLED"
    stack.deliver()
    states = [stack.find_by(info).state for info in uploads[1:]]
    assert sorted(states) == ["HELD", "RUNNING"]
    stack.run(uploads[1 + states.index(JobState.RUNNING)])
    stack.deliver()
    assert stack.find_by(uploads[1 + states.index(JobState.HELD)]).state == "DUPLICATE"


def test_those_beyond_the_list_of_who_waits_look_for_themselves(stack: Stack, gemini: GeminiEmulator) -> None:
    gemini.faults = Faults(running_seconds=7200)
    first = stack.upload("team/a.jsonl", lines("one"))
    digest = stack.run(first, until=lambda job: job.state == "RUNNING").plan.identity
    identity = stack.documents.get(Collection.IDENTITY, digest)
    assert identity is not None
    full = [f"gone-{number}" for number in range(WAITING)]
    stack.documents.replace(identity, index=identity.index, data={**identity.data, "waiting": full})
    waiting = held(stack, "team/b.jsonl", lines("one"))
    assert stack.run(first).state == "DONE"
    stack.deliver()
    assert stack.find_by(stack.objects_info(waiting)).state == "HELD"
    assert stack.run(stack.objects_info(waiting)).state == "DUPLICATE"
    identity = stack.documents.get(Collection.IDENTITY, digest)
    assert identity is not None
    assert identity.data["waiting"] == full
