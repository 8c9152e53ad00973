"""What jobs, cursors, claims and the uploads' metadata say of themselves: the steps only ask."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from batchdrop.core.errors import PermanentError
from batchdrop.core.money.costs import Entry, left_of
from batchdrop.core.recipe.applied import Given, applied, recipe_names, unusable, wrong_metadata
from batchdrop.core.recipe.parse import RecipeProblem
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.result.manifest import Part, counted, with_outcomes
from batchdrop.core.state import names
from batchdrop.core.state.closure import closed, segments_by_range
from batchdrop.core.state.cursors import Counts, Finalizing, PlanCursor
from batchdrop.core.state.identity import BLOCK, WAITING, Claim, Content
from batchdrop.core.state.job_state import JobState
from batchdrop.core.state.segment import Segment, SegmentFile
from batchdrop.core.state.shard import Child, Shard, ShardKind
from batchdrop.core.upload.cut import RangePlan, ShardPlan, summed
from batchdrop.core.upload.keys import Keys
from batchdrop.core.upload.metadata import labels_of, settings_of, team_of
from batchdrop.core.value import Failure
from tests.unit.test_lease import NOW, job, shard

HOUR = timedelta(hours=1)
GIVEN = Given(provider="gemini", model="m", dialect="gemini", account="a", deadline_hours=24, policy="lenient")


# ------------------------------------------------------------------------------------------------------ jobs
def test_the_output_of_a_job_is_one_folder_with_the_manifest_in_it() -> None:
    assert job().output_prefix == "a.jsonl/j/"
    assert job().manifest_name == "a.jsonl/j/manifest.json"


@pytest.mark.parametrize("state", [state for state in JobState if state.terminal])
def test_only_a_refused_job_and_a_duplicate_have_no_rows_of_their_own(state: JobState) -> None:
    assert job(final_state=state).ran is (state not in {JobState.REJECTED, JobState.DUPLICATE})


def test_a_done_job_without_errors_answers_the_same_request_again() -> None:
    rejected = Counts(lines=2, rejections=1, results=1)
    assert job(state=JobState.DONE, counts=rejected).answers_the_same
    assert not job(state=JobState.DONE, counts=Counts(lines=1, errors=1)).answers_the_same
    assert not job(state=JobState.CANCELLED).answers_the_same


def test_the_time_a_job_was_held_is_no_part_of_its_time() -> None:
    assert job(held_seconds=60).deadline_after(HOUR) == NOW + HOUR + timedelta(minutes=1)


def test_a_job_waits_for_the_same_thing_since_it_was_first_held_for_it() -> None:
    assert job(held_at=NOW, held_for="A").waits_since("A") == NOW
    assert job(held_at=NOW, held_for="A").waits_since("B") is None
    assert job(held_at=NOW).waits_since("A") == NOW, "held, and not yet said so"
    assert job().waits_since("A") is None


def test_only_a_running_job_is_looked_at_again_for_its_shards() -> None:
    again = job(state=JobState.RUNNING).still_running(NOW, NOW + HOUR)
    assert again is not None
    assert again.due_at == NOW + HOUR
    assert job(state=JobState.FINALIZING).still_running(NOW, NOW + HOUR) is None


def test_a_failure_says_what_an_error_says() -> None:
    failure = Failure.of(PermanentError("It is gone.", code="GONE"), "Upload it again.")
    assert (failure.code, failure.message, failure.fix) == ("GONE", "It is gone.", "Upload it again.")


# ---------------------------------------------------------------------------------------------------- shards
def member(index: int, state: str = "WRITTEN", **fields: object) -> Shard:
    return shard(shard_id=names.shard_id("j", index), state=state, **fields)


def child(shard_id: str) -> Child:
    return Child(shard_id=shard_id, kind=ShardKind.AGAIN, round=1, requests=1, tokens=1, bytes=1, lists=(), list_key="")


def test_a_job_is_over_when_every_planned_shard_has_ended() -> None:
    planned = job(plan=PlanCursor(shards=2))
    assert closed(planned, [member(0), member(1, "SPLIT")])
    assert not closed(planned, [member(0)])
    assert not closed(planned, [member(0), member(1, "SUBMITTED")])
    assert closed(job(), [])


def test_a_job_is_not_over_while_a_named_child_is_missing_or_runs() -> None:
    planned = job(plan=PlanCursor(shards=1))
    parent = member(0, children=(child("j-child"),))
    assert not closed(planned, [parent])
    assert not closed(planned, [parent, shard(shard_id="j-child", state="QUEUED")])
    assert closed(planned, [parent, shard(shard_id="j-child", state="CANCELLED")])


def test_only_written_shards_have_rows_of_a_range() -> None:
    first, second, other = Segment(range=3), Segment(range=4), Segment(range=3)
    written = member(0, segments=(first, second))
    halved = member(1, "SPLIT", segments=(other,))
    assert segments_by_range([written, halved]) == {3: [(written, first)], 4: [(written, second)]}


def test_a_segments_files_are_those_that_hold_rows() -> None:
    errors = SegmentFile(object="e", rows=2)
    assert Segment(range=0, errors=errors).row_files == (("errors", errors),)


# --------------------------------------------------------------------------------------------------- cursors
@pytest.mark.parametrize(
    ("counts", "verdict"),
    [(Counts(results=1), "complete"), (Counts(errors=1), "partial"), (Counts(rejections=1), "partial")],
)
def test_a_verdict_is_complete_when_every_line_has_an_answer(counts: Counts, verdict: str) -> None:
    assert counts.verdict == verdict


def test_a_plan_part_moves_the_cursor_by_its_ranges_and_shards() -> None:
    plans = [RangePlan(0, 1, 9, 0, 90, 8, 1), RangePlan(1, 10, 19, 90, 180, 10, 0), ShardPlan(0, 0, 1, 18, 170, 40)]
    once = PlanCursor().with_part("one", summed(plans), "first")
    twice = once.with_part("two", summed(plans), "second")
    assert (once.step, once.ranges, once.shards, once.requests, once.bytes, once.tokens) == (1, 2, 1, 18, 170, 40)
    assert (twice.step, twice.ranges, twice.shards, twice.requests) == (2, 4, 2, 36)
    assert twice.parts == ("one", "two")
    assert (once.checksum, twice.checksum) == ("first", "second")


def test_a_cursor_keeps_where_it_read_to_and_what_it_saw() -> None:
    cursor = PlanCursor().read_to(7, 300, Content("sum", BLOCK)).with_keys("keys").agreed([3, 1])
    cursor = cursor.with_lines("embed", "attached", Counts(lines=6))
    assert (cursor.line, cursor.offset, cursor.content, cursor.hashed) == (7, 300, "sum", BLOCK)
    assert (cursor.keys, cursor.agreeing) == (("keys",), (3, 1))
    assert (cursor.batch_kind, cursor.attached, cursor.counts.lines) == ("embed", "attached", 6)
    assert cursor.agreed(None).agreeing is None


def test_of_two_cursors_the_further_one_counts_and_the_first_of_equals() -> None:
    near, far, same = PlanCursor(offset=1), PlanCursor(offset=2), PlanCursor(offset=1, step=3)
    assert near.or_further(far) is far
    assert far.or_further(near) is far
    assert near.or_further(same) is near


def test_finalizing_names_a_list_of_parts_only_when_there_are_new_ones() -> None:
    once = Finalizing().up_to(2, "list")
    assert (once.next_range, once.lists) == (2, ("list",))
    assert once.up_to(5, None) == Finalizing(next_range=5, lists=("list",))


# -------------------------------------------------------------------------------------------------- identities
def test_bytes_read_twice_are_in_the_checksum_once() -> None:
    data = bytes(range(256)) * 40_000
    assert len(data) > 2 * BLOCK
    whole, again = Content(), Content()
    whole.feed(data)
    again.feed_from(0, data[: BLOCK + 9])
    again.feed_from(5, data[5 : BLOCK + 3])
    again.feed_from(BLOCK + 1, data[BLOCK + 1 :])
    assert again.whole() == whole.whole()


def test_a_claim_lives_until_its_window_ends_and_lists_so_many() -> None:
    assert Claim(until=NOW).lives(NOW - HOUR)
    assert not Claim(until=NOW).lives(NOW)
    assert not Claim().lives(NOW)
    full = Claim(waiting=tuple(f"j{index}" for index in range(WAITING)))
    assert Claim(waiting=("a",)).lists("a")
    assert not Claim(waiting=("a",)).lists("b")
    assert full.lists("b"), "it looks for itself"


# ---------------------------------------------------------------------------------------------------- metadata
def test_labels_and_settings_share_the_metadata_between_them() -> None:
    metadata = {"label-team": "sales", "label-": "x", "model": "m", "Label-A": "b"}
    assert labels_of(metadata) == {"team": "sales", "": "x"}
    assert settings_of(metadata) == {"model": "m", "Label-A": "b"}


def test_the_label_says_who_pays_else_the_first_folder_does() -> None:
    assert team_of("a/b/c.jsonl", {"team": "sales"}) == "sales"
    assert team_of("a/b/c.jsonl", {"team": ""}) == "a"
    assert team_of("c.jsonl", {}) == ""


def test_keys_are_counted_until_there_are_too_many() -> None:
    keys = Keys(counted=True)
    for key in (b'"a"', b"null", b'"a"', b'"b"'):
        keys.see(key)
    assert (keys.missing, len(keys.hashes), len(set(keys.hashes))) == (1, 3, 2)
    without = Keys(counted=False)
    without.see(b'"a"')
    assert not without.hashes


# ----------------------------------------------------------------------------------------------------- recipes
def test_the_nearest_recipe_is_asked_for_first() -> None:
    assert list(recipe_names("a/b/c.csv")) == ["a/b/recipe.yaml", "a/recipe.yaml", "recipe.yaml"]
    assert list(recipe_names("c.csv")) == ["recipe.yaml"]


def test_a_recipe_rules_over_the_stack_and_the_job_over_the_recipe() -> None:
    recipe = Recipe(deadline="2h", attribution={"team": "hr", "place": "x"}, policy="strict")
    resolved = applied(
        job(labels={"place": "y"}, held_seconds=60, team="a"), recipe, name="r", work_object="w", given=GIVEN
    )
    assert (resolved.labels, resolved.team) == ({"place": "y", "team": "hr"}, "hr")
    assert resolved.deadline_at == NOW + 2 * HOUR + timedelta(minutes=1)
    assert (resolved.policy, resolved.model, resolved.recipe_name) == ("strict", "m", "r")


def test_what_a_recipe_leaves_open_is_the_stacks() -> None:
    resolved = applied(job(team="a"), Recipe(), name="", work_object="w", given=GIVEN)
    assert resolved.deadline_at == NOW + 24 * HOUR
    assert (resolved.policy, resolved.finish, resolved.team, resolved.account) == ("lenient", "missing", "a", "a")


def test_an_unusable_recipe_is_told_by_its_first_problem_and_the_number_of_others() -> None:
    problem = RecipeProblem(3, "model", "It is wrong.", "Mend it.")
    alone, several = unusable("recipe.yaml", [problem]), unusable("recipe.yaml", [problem, problem])
    assert alone.message == "The recipe recipe.yaml cannot be used: line 3, model: It is wrong."
    assert several.message == f"{alone.message} (1 more problems.)"
    assert alone.fix == "Mend it. Upload the recipe again; the job goes on then."
    assert wrong_metadata(problem).message == "Metadata 'model': It is wrong."


def test_a_recipe_attaches_objects_of_the_types_it_names() -> None:
    recipe = Recipe.model_validate({"attachments": [{"field": "doc", "type": "application/json"}, "photo"]})
    assert recipe.attaches("application/json")
    assert not recipe.attaches("image/png")


# ------------------------------------------------------------------------------------------------------- output
def test_rows_are_counted_by_what_they_are_and_outcomes_once_a_range() -> None:
    results = Part("results", "r", 3, 30, "x", 1, 5)
    errors = Part("errors", "e", 1, 10, "y", 1, 5)
    table = Part("csv", "t", 5, 50, "z", 1, 5)
    parts = [*with_outcomes([results, errors], {"answered": 3, "blocked": 1}), table]
    counts = counted(Counts(lines=5, rejections=1), parts)
    assert (counts.results, counts.errors, counts.rejections) == (3, 1, 1)
    assert counts.by_outcome == {"answered": 3, "blocked": 1}


def test_what_is_left_of_an_amount_is_never_less_than_nothing() -> None:
    def costing(amount: str | None) -> Entry:
        fields = {"shard_id": "s", "job_id": "j", "day": "d", "model": "m", "processing": "batch"}
        return Entry.model_validate({**fields, "amount": amount})

    assert left_of(Decimal(3), [costing("1"), costing(None)]) == Decimal(2)
    assert left_of(Decimal(3), [costing("4")]) == Decimal(0)
