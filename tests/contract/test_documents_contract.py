"""The Documents port: what both adapters promise, and that the compare-and-set is one."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions

from batchdrop.adapters.cloud.firestore import FirestoreDocuments
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.core.errors import BatchdropError, ConfigurationError, ConflictError, PermanentError, TransientError
from batchdrop.core.limits import limit
from batchdrop.core.state import queries
from batchdrop.core.state.queries import INDEXED
from batchdrop.ports import Collection, Document, Documents, IndexValue, Query

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, UTC)


@pytest.fixture(params=["sqlite", "firestore"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Documents:
    """Each adapter in turn."""
    if request.param == "sqlite":
        return SqliteDocuments(tmp_path / "records.sqlite")
    return FirestoreDocuments(request.getfixturevalue("project"))


def index_of(kind: Collection = Collection.SHARD, /, **fields: IndexValue) -> Mapping[str, IndexValue]:
    return {**dict.fromkeys(INDEXED[kind]), **fields}


def make(records: Documents, id: str = "a", data: Any = None, **fields: IndexValue) -> Document:
    return records.create(Collection.SHARD, id, index=index_of(**fields), data=data or {"n": 1})


def test_what_was_created_is_read_back(records: Documents) -> None:
    data = {"text": "é\u2028😀", "deep": {"list": [1, 2.5, None, {"x": True}]}, "big": 2**53}
    made = make(records, data=data, due_at=NOW, priority_rank=-3, team="blue")
    read = records.get(Collection.SHARD, "a")
    assert read == made
    assert read is not None
    assert (read.version, read.data) == (1, data)
    assert (read.index["due_at"], read.index["priority_rank"], read.index["team"]) == (NOW, -3, "blue")
    assert records.get(Collection.SHARD, "b") is None
    assert records.get(Collection.JOB, "a") is None


def test_a_record_is_created_once(records: Documents) -> None:
    make(records)
    with pytest.raises(ConflictError):
        make(records)


def test_a_replacement_counts_on_the_version_read(records: Documents) -> None:
    first = make(records)
    second = records.replace(first, index=index_of(), data={"n": 2})
    assert (second.version, records.get(Collection.SHARD, "a")) == (2, second)
    with pytest.raises(ConflictError):
        records.replace(first, index=index_of(), data={"n": 3})
    third = records.replace(second, index=index_of(), data={"n": 3})
    assert third.version == 3


def test_an_identical_write_loses_the_second_time(records: Documents) -> None:
    first = make(records)
    records.replace(first, index=index_of(), data={"n": 1})
    with pytest.raises(ConflictError):
        records.replace(first, index=index_of(), data={"n": 1})


def test_removed_fields_vanish_and_dotted_keys_survive(records: Documents) -> None:
    first = make(records, data={"a": 1, "b": {"c": 1, "d": 2}})
    second = records.replace(first, index=index_of(), data={"b": {"c.d": 1, "e`f": 2, "0": 3}})
    assert second.data == {"b": {"c.d": 1, "e`f": 2, "0": 3}}
    read = records.get(Collection.SHARD, "a")
    assert read is not None
    assert read.data == {"b": {"c.d": 1, "e`f": 2, "0": 3}}


def test_of_many_creators_one_wins(records: Documents) -> None:
    def create(number: int) -> None:
        make(records, data={"n": number})

    assert _race(8, create) == 1


def test_of_many_writers_none_is_lost(records: Documents) -> None:
    make(records, data={"n": 0})

    def increment(_: int) -> None:
        while True:
            read = records.get(Collection.SHARD, "a")
            assert read is not None
            try:
                records.replace(read, index=index_of(), data={"n": read.data["n"] + 1})
            except ConflictError:
                continue
            return

    threads = [threading.Thread(target=lambda: [increment(0) for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = records.get(Collection.SHARD, "a")
    assert read is not None
    assert (read.data["n"], read.version) == (20, 21)


def _race(count: int, act: Any) -> int:
    wins: list[int] = []

    def run(number: int) -> None:
        try:
            act(number)
            wins.append(number)
        except ConflictError:
            pass

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(wins)


def test_deleting_takes_only_the_version_read(records: Documents) -> None:
    first = make(records)
    second = records.replace(first, index=index_of(), data={})
    assert not records.delete(first)
    assert records.delete(second)
    assert records.get(Collection.SHARD, "a") is None
    assert not records.delete(second)


def test_anything_json_can_say_survives_in_its_order(records: Documents) -> None:
    data = {
        "z": 1,
        "__x__": {"": 1, "__name__": None, "a.b": "`", "\ud800": "\udfff"},
        "a": [[1, [2]], []],
        "big": 10**40,
        "": {"m": "\u2028\x00é😀"},
    }
    made = make(records, data=data)
    read = records.get(Collection.SHARD, "a")
    assert read is not None
    assert read.data == made.data == data
    assert list(read.data) == list(data)


def test_ids_that_firestore_does_not_take_are_refused_by_both(records: Documents) -> None:
    for id in ("", ".", "..", "a/b", "../x", "__x__", "x" * 1501, "\ud800"):
        with pytest.raises(PermanentError) as read:
            records.get(Collection.SHARD, id)
        with pytest.raises(PermanentError) as made:
            make(records, id)
        assert (read.value.code, made.value.code) == ("RECORD_ID", "RECORD_ID")
    make(records, "é" * 750)


def test_a_record_has_at_most_900_kib_on_both(records: Documents) -> None:
    room = limit("record") - len('{"x":""}')
    made = make(records, data={"x": "é" * (room // 2)})
    with pytest.raises(PermanentError) as caught:
        records.replace(made, index=index_of(), data={"x": "é" * (room // 2) + "aa"})
    assert caught.value.code == "RECORD_TOO_LARGE"
    assert records.get(Collection.SHARD, "a") == made


def test_index_fields_that_one_store_could_not_hold_are_refused_by_both(records: Documents) -> None:
    for fields in ({"team": "\ud800"}, {"priority_rank": 1 << 63}):
        with pytest.raises(PermanentError) as caught:
            make(records, **fields)  # pyright: ignore[reportArgumentType]
        assert caught.value.code == "RECORD_SHAPE"
    with pytest.raises(PermanentError):
        records.create(Collection.SHARD, "a", index={"team": "blue"}, data={})
    assert records.get(Collection.SHARD, "a") is None


def test_what_is_stored_is_one_text_beside_the_index_fields(project: str) -> None:
    records = FirestoreDocuments(project)
    make(records, data={"__x__": "é"}, team="blue")
    stored = records.client.collection("shards").document("a").get().to_dict()
    assert stored is not None
    assert set(stored) == {"version", "write_id", "data", *INDEXED[Collection.SHARD]}
    assert stored["data"] == '{"__x__":"é"}'


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (exceptions.InvalidArgument("no"), PermanentError, "RECORD_REFUSED"),
        (exceptions.OutOfRange("no"), PermanentError, "RECORD_REFUSED"),
        (ValueError("no"), PermanentError, "RECORD_REFUSED"),
        (exceptions.FailedPrecondition("the index is building"), TransientError, "RECORDS_INDEX"),
        (exceptions.NotFound("the database does not exist"), TransientError, "RECORDS_DATABASE"),
        (exceptions.ServiceUnavailable("no"), TransientError, "RECORDS_UNAVAILABLE"),
    ],
)
def test_what_time_can_heal_is_tried_again_and_nothing_else(
    error: Exception, kind: type[BatchdropError], code: str, project: str
) -> None:
    records = FirestoreDocuments(project)
    api = records.client._firestore_api  # pyright: ignore[reportPrivateUsage]
    api.run_query = api.batch_get_documents = _raising(error)
    for call in (lambda: records.query(Query(Collection.SHARD)), lambda: records.get(Collection.SHARD, "a")):
        with pytest.raises(kind) as caught:
            call()
        assert caught.value.code == code


@pytest.mark.parametrize("error", [exceptions.InvalidArgument("no"), ValueError("no")])
def test_a_refused_write_is_permanent(error: Exception, project: str) -> None:
    records = FirestoreDocuments(project)
    made = make(records)
    records.client._firestore_api.commit = _raising(error)  # pyright: ignore[reportPrivateUsage]
    for write in (lambda: make(records, "b"), lambda: records.replace(made, index=index_of(), data={})):
        with pytest.raises(PermanentError) as caught:
            write()
        assert caught.value.code == "RECORD_REFUSED"


def _raising(error: Exception) -> Any:
    """Stand in the client's transport for a service that answers with an error."""

    def fail(*args: object, **options: object) -> None:
        raise error

    return fail


def test_due_records_come_longest_waiting_first_and_never_those_without_a_time(records: Documents) -> None:
    for number, minutes in enumerate((5, -5, -10, 0)):
        make(records, f"s{number}", due_at=NOW + timedelta(minutes=minutes))
    make(records, "none", due_at=None)
    found = records.query(queries.due(Collection.SHARD, NOW, 10))
    assert [entry.id for entry in found] == ["s2", "s1", "s3"]
    assert [entry.id for entry in records.query(queries.due(Collection.SHARD, NOW, 2))] == ["s2", "s1"]


def test_shards_are_found_by_state_and_by_job(records: Documents) -> None:
    make(records, "a", state="SUBMITTED", job_id="j1")
    make(records, "b", state="QUEUED", job_id="j1")
    make(records, "c", state="SUBMITTED", job_id="j2")
    assert {entry.id for entry in records.query(queries.submitted(10))} == {"a", "c"}
    assert {entry.id for entry in records.query(queries.shards_of("j1"))} == {"a", "b"}


def test_shards_at_the_provider_are_read_page_by_page(records: Documents) -> None:
    for id in ("d", "b", "a", "c", "e"):
        make(records, id, state="QUEUED" if id == "b" else "SUBMITTED")
    pages: list[list[str]] = []
    after = ""
    while found := records.query(queries.submitted(2, after)):
        pages.append([entry.id for entry in found])
        after = found[-1].id
    assert pages == [["a", "c"], ["d", "e"]]


def test_the_queue_is_scanned_team_by_team(records: Documents) -> None:
    entries = [("blue", 0, 3), ("blue", -5, 9), ("red", 0, 1), ("", 0, 2), ("red", 0, 0)]
    for number, (team, rank, minute) in enumerate(entries):
        moment = NOW + timedelta(minutes=minute)
        make(records, f"s{number}", state="QUEUED", pool="m", team=team, priority_rank=rank, queued_at=moment)
    make(records, "other", state="QUEUED", pool="n", team="a", priority_rank=0, queued_at=NOW)
    make(records, "gone", state="WRITTEN", pool="m", team="a", priority_rank=0, queued_at=NOW)
    heads: list[str] = []
    team: str | None = None
    while found := records.query(queries.queued_teams("m", team)):
        heads.append(found[0].id)
        team = str(found[0].index["team"])
    assert heads == ["s3", "s1", "s4"]
    assert [entry.id for entry in records.query(queries.queued_of("m", "blue", 9))] == ["s1", "s0"]


def test_jobs_are_found_by_name_and_newest_first(records: Documents) -> None:
    for number in range(4):
        index = index_of(
            Collection.JOB, object_name="x" if number % 2 else "y", created_at=NOW + timedelta(minutes=number)
        )
        records.create(Collection.JOB, f"j{number}", index=index, data={})
    assert {entry.id for entry in records.query(queries.jobs_named("x"))} == {"j1", "j3"}
    assert [entry.id for entry in records.query(queries.newest_jobs(2))] == ["j3", "j2"]
    older = records.query(queries.newest_jobs(9, NOW + timedelta(minutes=2)))
    assert [entry.id for entry in older] == ["j1", "j0"]


def test_found_records_are_counted_up_to_a_limit(records: Documents) -> None:
    for number in range(4):
        make(records, str(number), state="QUEUED" if number else "STAGED")
    assert records.count(queries.queued()) == 3
    assert records.count(queries.queued(2)) == 2
    assert records.count(queries.held_jobs()) == 0


def test_open_jobs_are_found_by_age_and_counted_by_deadline(records: Documents) -> None:
    for number, hours in enumerate((3, 1, 2)):
        times = {"open_since_at": NOW - timedelta(hours=hours), "open_until_at": NOW + timedelta(hours=1 - hours)}
        records.create(Collection.JOB, str(number), index=index_of(Collection.JOB, **times), data={})
    records.create(Collection.JOB, "ended", index=index_of(Collection.JOB, state="DONE"), data={})
    assert [entry.id for entry in records.query(queries.oldest_open_job(NOW))] == ["0"]
    assert records.count(queries.overdue_jobs(NOW)) == 3
    assert records.count(queries.overdue_jobs(NOW - timedelta(hours=1))) == 2


def test_ledger_entries_are_found_from_a_day_on(records: Documents) -> None:
    for day in ("2026-11-01", "2026-11-03", "2026-11-02"):
        records.create(Collection.COST, day, index=index_of(Collection.COST, day=day), data={})
    assert [entry.id for entry in records.query(queries.costs_since("2026-11-02"))] == ["2026-11-02", "2026-11-03"]


def test_all_ledgers_are_found(records: Documents) -> None:
    for name in ("_project", "m"):
        records.create(Collection.CAPACITY, name, index={}, data={})
    assert {entry.id for entry in records.query(queries.ledgers())} == {"_project", "m"}


def test_a_lost_reply_to_a_write_is_success(project: str) -> None:
    """The client repeats a commit whose reply was lost; the repetition fails on our own success."""
    records = FirestoreDocuments(project)
    first = make(records)
    lossy = _CommitsTwice(records)
    second = records.replace(first, index=index_of(), data={"n": 2})
    assert lossy.commits == 2
    assert (second.version, second.data) == (2, {"n": 2})
    assert records.get(Collection.SHARD, "a") == second
    third = make(records, "b")
    assert lossy.commits == 4
    assert records.get(Collection.SHARD, "b") == third


class _CommitsTwice:
    """Sits in the client's transport and sends every commit again, as a retry after a lost reply does."""

    def __init__(self, records: FirestoreDocuments) -> None:
        api = records.client._firestore_api  # pyright: ignore[reportPrivateUsage]
        self.commits = 0
        self._commit = api.commit
        api.commit = self

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.commits += 2
        self._commit(*args, **options)
        return self._commit(*args, **options)


def test_the_records_survive_a_restart(tmp_path: Path) -> None:
    make(SqliteDocuments(tmp_path / "r.sqlite"), due_at=NOW)
    again = SqliteDocuments(tmp_path / "r.sqlite")
    assert [entry.id for entry in again.query(queries.due(Collection.SHARD, NOW, 9))] == ["a"]


def test_expired_records_are_purged_on_one_machine(tmp_path: Path) -> None:
    records = SqliteDocuments(tmp_path / "r.sqlite")
    make(records, "old", expire_at=NOW - timedelta(days=1))
    make(records, "new", expire_at=NOW + timedelta(days=1))
    assert records.purge_expired(NOW) == 1
    assert records.query(Query(Collection.SHARD))[0].id == "new"


def test_records_of_another_version_are_refused_with_a_sentence(tmp_path: Path, project: str) -> None:
    path = tmp_path / "r.sqlite"
    make(SqliteDocuments(path))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 0")
    connection.close()
    with pytest.raises(ConfigurationError, match="another version") as refused:
        SqliteDocuments(path)
    assert refused.value.code == "RECORDS_FORMAT"
    cloud = FirestoreDocuments(project)
    cloud.client.collection("shards").document("a").set({"version": 1, "write_id": "x", "data": {"n": 1}})
    with pytest.raises(PermanentError, match="another version"):
        cloud.get(Collection.SHARD, "a")
