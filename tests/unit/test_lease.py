"""Jobs and shards: the tables of moves, leases, and what is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from batchdrop.core.errors import LeaseLostError, PermanentError
from batchdrop.core.state.job import JOB_MOVES, Job, JobState, Source, job_index
from batchdrop.core.state.lease import check_move
from batchdrop.core.state.queries import INDEXED
from batchdrop.core.state.shard import Shard, shard_index
from batchdrop.core.state.shard_state import SHARD_MOVES, ShardState
from batchdrop.ports import Collection

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def job(**fields: object) -> Job:
    source = Source(bucket="input", object="a.jsonl", generation=1, crc32c="", bytes=1, uploaded_at=NOW)
    base = {"job_id": "j", "state": JobState.RECEIVED, "source": source, "created_at": NOW, "updated_at": NOW}
    return Job.model_validate({**base, "due_at": NOW, "deadline_at": NOW, **fields})


def shard(**fields: object) -> Shard:
    base = {"shard_id": "s", "job_id": "j", "state": ShardState.QUEUED, "requests": 1, "bytes": 1, "tokens": 1}
    times = {"queued_at": NOW, "created_at": NOW, "updated_at": NOW, "due_at": NOW, "deadline_at": NOW}
    return Shard.model_validate({**base, **times, "model": "m", **fields})


def test_every_job_state_leads_to_an_end() -> None:
    assert set(JOB_MOVES) == set(JobState)
    for state in JobState:
        assert _reaches_end(state)


def _reaches_end(state: JobState) -> bool:
    seen: set[JobState] = set()
    waiting = [state]
    while waiting:
        here = waiting.pop()
        if here.terminal:
            return True
        if here not in seen:
            seen.add(here)
            waiting += JOB_MOVES[here]
    return False


def test_shard_states_follow_the_picture() -> None:
    assert set(SHARD_MOVES) == set(ShardState)
    ends = {state for state in ShardState if state.terminal}
    assert ends == {ShardState.WRITTEN, ShardState.SPLIT, ShardState.CANCELLED}


@pytest.mark.parametrize(
    ("old", "new"),
    [(old, new) for old in ShardState for new in ShardState if new is not old and new not in SHARD_MOVES[old]],
)
def test_a_move_outside_the_table_is_refused(old: ShardState, new: ShardState) -> None:
    with pytest.raises(PermanentError) as caught:
        check_move(SHARD_MOVES, old, new)
    assert caught.value.code == "ILLEGAL_MOVE"


def test_a_submitted_shard_goes_back_to_the_queue_alone_and_never_to_create_again() -> None:
    assert SHARD_MOVES[ShardState.SUBMITTED] == {ShardState.ENDED, ShardState.QUEUED}


def test_a_claim_owns_the_record_until_the_lease_ends() -> None:
    claimed = shard().claimed(NOW, 600)
    assert (claimed.fence, claimed.claims, claimed.due_at) == (1, 1, NOW + timedelta(seconds=600))
    with pytest.raises(LeaseLostError):
        claimed.claimed(NOW + timedelta(seconds=599), 600)
    assert claimed.claimed(NOW + timedelta(seconds=600), 600).fence == 2


def test_a_release_counts_as_progress() -> None:
    released = shard().claimed(NOW, 600).handed_back(NOW, NOW)
    assert (released.claims, released.lease_until, released.fence) == (0, None, 1)


@pytest.mark.parametrize("value", [job(), shard(state=ShardState.SUBMITTED)])
def test_a_record_survives_storage_and_keeps_fields_it_does_not_know(value: Job | Shard) -> None:
    stored = value.model_dump(mode="json", by_alias=True)
    assert stored["schema"].startswith("batchdrop.")
    again = type(value).model_validate({**stored, "from_the_future": {"x": 1}})
    assert again.model_dump(mode="json", by_alias=True) == {**stored, "from_the_future": {"x": 1}}
    assert type(value).model_validate(stored) == value


def test_the_index_fields_are_the_declared_ones() -> None:
    assert set(job_index(job(), None)) == set(INDEXED[Collection.JOB])
    assert set(shard_index(shard(), None)) == set(INDEXED[Collection.SHARD])
