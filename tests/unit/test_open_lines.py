"""What stands for an answer that is not there, what another try would be, and what rows add up to."""

from __future__ import annotations

import pytest

from batchdrop.core.address import address, own_folder
from batchdrop.core.money.usage import REQUESTS, Usage
from batchdrop.core.problem import Problem
from batchdrop.core.recipe.draft import Draft, Named, compile_recipe, draft_of
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.result.open_lines import another_try, unanswered
from batchdrop.core.result.outcome import Answer, Outcome
from batchdrop.core.result.tally import Tally
from batchdrop.core.state.batch import BatchRef, BatchState, Cause
from batchdrop.core.state.segment import SegmentFile
from batchdrop.core.state.shard import DEADLINE, Route, ShardKind
from batchdrop.core.upload.keys import repeated
from batchdrop.core.value import Failure
from tests.unit.test_lease import job, shard

PASSING = Answer(Outcome.ERROR, "E", passing=True)


def failed(cause: Cause) -> BatchRef:
    return BatchRef(state=BatchState.FAILED, cause=cause, failure=Failure(code="FULL", message="no room"))


@pytest.mark.parametrize(
    ("fields", "code", "passing"),
    [
        ({"stop": DEADLINE, "results_lost": "GONE"}, "DEADLINE", True),
        ({"results_lost": "GONE"}, "RESULTS_LOST", True),
        ({"batch": failed(Cause.WAIT)}, "BATCH_FAILED_FULL", True),
        ({"batch": failed(Cause.OURS)}, "BATCH_FAILED_FULL", False),
        ({"batch": BatchRef(state=BatchState.SUCCEEDED)}, "NO_ANSWER", True),
        ({"batch": BatchRef(state=BatchState.EXPIRED)}, "BATCH_EXPIRED", True),
        ({"route": Route.STANDARD}, "NO_ANSWER", True),
    ],
)
def test_a_line_without_an_answer_says_why(fields: dict[str, object], code: str, passing: bool) -> None:
    found = unanswered(shard(**fields))
    assert (found.outcome, found.code, found.passing) == (Outcome.MISSING, code, passing)


@pytest.mark.parametrize(
    ("fields", "finish", "answer", "expected"),
    [
        ({}, "missing", PASSING, ShardKind.AGAIN),
        ({"round": 2}, "missing", PASSING, None),
        ({"stop": DEADLINE}, "standard", PASSING, ShardKind.LATE),
        ({"stop": DEADLINE}, "missing", PASSING, None),
        ({"stop": DEADLINE, "kind": ShardKind.LATE}, "standard", PASSING, None),
        ({"stop": DEADLINE}, "standard", Answer(Outcome.BLOCKED), None),
        ({"stop": Failure(code="CANCELLED", message="")}, "standard", PASSING, None),
    ],
)
def test_a_stopped_shard_has_another_try_only_when_the_job_finishes_at_once(
    fields: dict[str, object], finish: str, answer: Answer, expected: ShardKind | None
) -> None:
    assert another_try(job(finish=finish), shard(**fields), answer, 2) is expected


def test_a_tally_counts_failed_answers_apart_and_lines_by_their_next_try() -> None:
    def add(total: Usage, metadata: bytes | None) -> None:
        total[REQUESTS] += int(metadata or 0)

    tally = Tally(add)
    tally.add(Answer(Outcome.ANSWERED, usage=b"2", file_count=1, file_bytes=10))
    tally.add(Answer(Outcome.ERROR, usage=b"3"))
    tally.open(7, ShardKind.AGAIN)
    tally.open(8, None)
    found = tally.segment(4, SegmentFile(), SegmentFile(), "list")
    assert (found.range, found.files, found.file_bytes, found.open) == (4, 1, 10, {"again": 1})
    assert (found.by_outcome, tally.open_lines) == ({"answered": 1, "error": 1}, {"again": [7]})
    assert (found.usage, found.failed) == ({REQUESTS: 5}, {REQUESTS: 3})


def test_keys_that_repeat_are_counted_across_what_was_written_of_them() -> None:
    one, two = (number.to_bytes(8, "little") for number in (1, 257))
    assert repeated([]) == 0
    assert repeated([one + two, one + one]) == 2


def test_an_address_names_bucket_and_object() -> None:
    assert address("gs://bucket/a/b.png") == ("bucket", "a/b.png")
    assert address("gs://bucket") == ("bucket", "")
    assert (own_folder("team/a.jsonl"), own_folder("a.jsonl")) == ("team/", "")


def test_a_draft_says_what_is_asked_in_no_languages_words() -> None:
    recipe = Recipe.model_validate({"prompt": "{{ t }}", "system": "Be brief.", "key": "id", "attachments": ["p"]})
    compiled = compile_recipe(recipe)
    found = draft_of(compiled, {"t": "hi", "id": 7, "p": ["gs://b/a.png", None]})
    assert found == Draft(b"7", b'"hi"', b'"Be brief."', (Named(b'"gs://b/a.png"', b'"image/png"'),))
    assert draft_of(compiled, {"t": " ", "id": 7, "p": "gs://b/a.png"}) == Draft(
        b"7", None, b'"Be brief."', (Named(b'"gs://b/a.png"', b'"image/png"'),)
    )
    nothing = draft_of(compiled, {"t": "hi", "id": 7})
    assert isinstance(nothing, Problem)
    assert nothing.pointer == "/p"
