"""However often a conversion is interrupted, and whoever loses the lease on the way, it makes the same bytes."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchdrop.adapters.local.directory import DirectoryObjects
from batchdrop.adapters.local.sqlite_documents import SqliteDocuments
from batchdrop.adapters.local.sqlite_topics import SqliteTopics
from batchdrop.core.clock import TimeLeft
from batchdrop.core.errors import LeaseLostError, PermanentError
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.settings import SubmitSettings
from batchdrop.core.state import names
from batchdrop.core.state.cursors import Piece
from batchdrop.core.state.job import Job, JobState, Source
from batchdrop.core.value import Failure
from batchdrop.providers.gemini.api import GeminiApi
from batchdrop.providers.gemini.api import gemini as offered
from batchdrop.steps import pieces, work
from batchdrop.steps.context import Context
from batchdrop.steps.plan.convert import as_records
from batchdrop.store import Store, Stored

pa: Any = importlib.import_module("pyarrow")
pq: Any = importlib.import_module("pyarrow.parquet")
NOW = datetime(2026, 11, 23, tzinfo=UTC)
FOREVER = 10**9
LINE = 160
OVERRIDES: dict[str, Any] = {"range_lines": 1, "max_line_bytes": LINE, "max_gzip_ratio": 1000}
RECIPE = Recipe.model_validate({"prompt": "{{ t }}", "key": "t", "output": {"join": True, "formats": ["parquet"]}})


@dataclass
class Counting:
    """A clock whose time is over after so many looks at it."""

    looks: int

    def now(self) -> datetime:
        """Return always the same."""
        return NOW

    def monotonic(self) -> float:
        """Return 0 for a while, then what no budget has."""
        self.looks -= 1
        return 0 if self.looks >= 0 else FOREVER

    def pause(self, least: float, most: float) -> None:
        """Let no time go by."""


@dataclass(frozen=True)
class Step:
    """One step of a conversion: how many lines its time is enough for, and whether it loses its lease meanwhile."""

    lines: int
    loses: bool


@dataclass(frozen=True)
class Converted:
    """What a conversion made, or the code of what is wrong with the file."""

    code: str = ""
    data: bytes = b""
    found: dict[str, Any] = field(default_factory=dict[str, Any])


def context(folder: Path, **overrides: Any) -> Context[SubmitSettings]:
    return Context(
        settings=SubmitSettings(**OVERRIDES | overrides),
        objects=DirectoryObjects(folder),
        store=Store(SqliteDocuments(":memory:"), Counting(FOREVER).pause),
        topics=SqliteTopics(":memory:"),
        providers={"gemini": offered(GeminiApi(lambda: "", "http://127.0.0.1:9"))},
        clock=Counting(FOREVER),
        time_left=TimeLeft(Counting(FOREVER), 0, 1),
    )


def planning(it: Context[SubmitSettings], name: str, data: bytes) -> Stored[Job]:
    """Return the record of a job whose snapshot was taken and whose recipe was found."""
    snapshot = work.put(it, names.source("j"), [data])
    work.put(it, names.recipe("j", 0), [RECIPE.model_dump_json(exclude_defaults=True).encode()])
    source = Source(bucket="input", object=name, generation=1, crc32c="", bytes=len(data), uploaded_at=NOW)
    job = Job(
        job_id="j",
        state=JobState.PLANNING,
        source=source,
        provider="gemini",
        model="m",
        snapshot_generation=snapshot.generation,
        recipe_object=names.recipe("j", 0),
        created_at=NOW,
        updated_at=NOW,
        due_at=NOW,
        deadline_at=NOW + timedelta(days=1),
    )
    return it.store.add(job)


def converted(name: str, data: bytes, steps: Iterator[Step], **overrides: Any) -> Converted:
    """Convert a file in these steps; the last of them has all the time it needs."""
    with tempfile.TemporaryDirectory() as folder:
        it = context(Path(folder), **overrides)
        stored = planning(it, name, data)
        try:
            return ended(it, stored, steps)
        except PermanentError as error:
            return Converted(error.code)


def ended(it: Context[SubmitSettings], stored: Stored[Job], steps: Iterator[Step]) -> Converted:
    for step in steps:
        mine = it.store.change(stored, lambda job: job.model_copy(update={"fence": job.fence + 1}))
        timed = replace(it, time_left=TimeLeft(Counting(step.lines), 0, 1))
        if step.loses:
            stored = it.store.change(mine, lambda job: job.model_copy(update={"fence": job.fence + 1}))
            lose(timed, mine)
            continue
        done = as_records(timed, mine)
        if isinstance(done, Failure):
            return Converted(done.code)
        if done is not None:
            return outcome(it, done.value)
        stored = it.store.reload(mine)
    raise AssertionError("the steps end before the file")


def lose(it: Context[SubmitSettings], mine: Stored[Job]) -> None:
    """Work on without the lease: what is written is beside what the successor writes, the record stays."""
    try:
        as_records(it, mine)
    except (LeaseLostError, PermanentError):
        return


def outcome(it: Context[SubmitSettings], job: Job) -> Converted:
    data = b"".join(pieces.read(it, job.records)) if job.records else b"as it is"
    found = job.model_dump(include={"converted", "dialect", "dialect_url", "warnings"})
    return Converted("", data, found | {"columns": work.get(it, job.columns) if job.columns else b""})


def endless(steps: list[Step]) -> Iterator[Step]:
    yield from steps
    yield Step(FOREVER, loses=False)


# ------------------------------------------------------------------------------------------------- files
def request(key: str, url: str, extra: dict[str, Any]) -> bytes:
    body = {"model": "gpt", "messages": [{"role": "user", "content": "x"}]} | extra
    return json.dumps({"custom_id": key, "url": url, "body": body}).encode()


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def with_header(mark: bytes, rest: list[bytes]) -> bytes:
    return mark + b"t,u\n" + b"".join(rest)


LONG = b"x" * (LINE + 1)
MARK = b"\xef\xbb\xbf"
texts = st.text(max_size=3)
openai = st.builds(
    request,
    texts,
    st.sampled_from(["/v1/chat/completions", "/v1/responses", "x"]),
    st.sampled_from([{}, {"seed": 1}, {"user": "u"}, {"n": 2}, {"logit_bias": {"1": 2}}]),
)
records = st.dictionaries(st.sampled_from(["t", "u"]), st.none() | st.integers() | texts, max_size=2)
junk = st.sampled_from([b"", b" ", b"{", b"\xff", b"[]", LONG, MARK, b'{"t":"%b"}' % LONG])
jsonl = st.lists(records.map(encoded) | junk, max_size=12).map(b"\n".join)
foreign = st.lists(openai | openai | junk, max_size=10).map(b"\n".join)
cells = st.sampled_from([b"a", b'"', b'""', b",", b"\n", b"\r\n", b'"b\nc"', b"\xff", LONG, b'"q,"', b"\n\n", b"x,y\n"])
table = st.builds(with_header, st.sampled_from([b"", MARK]), st.lists(cells | st.just(b"x,y\n"), max_size=25))
gemini = st.lists(st.just(b'{"key":"k","request":{"contents":[]}}\n') | junk, min_size=1, max_size=8).map(b"".join)


def parquet(rows: list[dict[str, Any]], group: int) -> bytes:
    file = io.BytesIO()
    kinds = {"t": pa.string(), "u": pa.timestamp("s"), "j": pa.list_(pa.int64()), "d": pa.duration("s")}
    schema = pa.schema(list(kinds.items()))
    pq.write_table(pa.Table.from_pylist(rows, schema), file, row_group_size=group)
    return file.getvalue()


def packed(data: bytes, size: int) -> bytes:
    """Compress a file in members of so many bytes: each comes out of it by itself."""
    return b"".join(gzip.compress(data[at : at + size]) for at in range(0, len(data), size)) or gzip.compress(b"")


parquets = st.builds(
    parquet,
    st.lists(
        st.fixed_dictionaries(
            {
                "t": st.none() | texts,
                "u": st.none() | st.sampled_from([0, 10**9, 10**12]),
                "j": st.lists(st.integers(0, 9), max_size=2),
                "d": st.none() | st.just(3),
            }
        ),
        max_size=12,
    ),
    st.integers(1, 5),
)
files: st.SearchStrategy[tuple[str, bytes]] = st.one_of(
    st.tuples(st.just("a.csv"), table),
    st.tuples(st.just("a.jsonl"), jsonl | foreign | gemini),
    st.tuples(st.just("a.parquet"), parquets),
)
steps = st.lists(st.builds(Step, st.integers(0, 4), st.booleans()), max_size=12)


@settings(deadline=None)
@given(files, steps, st.none() | st.integers(1, 60), st.sampled_from([0, 0, 1, 30]))
def test_any_interruptions_make_the_same_bytes(
    file: tuple[str, bytes], some: list[Step], member: int | None, lost: int
) -> None:
    name, data = file
    if member is not None:
        name, data = f"{name}.gz", packed(data, member)
        data = data[: len(data) - lost]
    expected = converted(name, data, endless([]))
    assert converted(name, data, endless(some)) == expected


@pytest.mark.parametrize("member", [None, 25])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "openai.jsonl", "gemini.jsonl", "a.parquet"])
def test_a_step_makes_one_line_and_all_steps_make_all_lines(name: str, member: int | None) -> None:
    data = {
        "a.csv": b't,u\n1,2\n\n"3\n4",5\n"6\n7,8\n' + MARK + b"7,8\n" + LONG + b"\n9,10",
        "a.jsonl": b'{"t":1}\n\n{"t":2}\n[]\n' + MARK + b'{"t":2}\n' + LONG + b'\n{"t":"3"}\n\n',
        "openai.jsonl": b'{"custom_id":"a","url":"/v1/responses","body":{"model":"m","input":"x"}}\n\n%b\n' % MARK * 3,
        "gemini.jsonl": b'{"key":"k","request":{"contents":[]}}\n' * 4,
        "a.parquet": parquet([{"t": str(n), "u": None, "j": [n], "d": n} for n in range(7)], 3),
    }[name]
    if member is not None:
        name, data = f"{name}.gz", packed(data, member)
    expected = converted(name, data, endless([]))
    assert not expected.code
    steps = iter([Step(0, loses=False)] * 500)
    assert converted(name, data, steps) == expected
    assert expected.data == b"as it is" or len(list(steps)) < 500 - 3


def test_a_column_whose_type_is_not_kept_is_named_in_a_warning() -> None:
    kind: Any = pa.int32()
    for _ in range(40):
        kind = pa.list_(kind)
    file = io.BytesIO()
    pq.write_table(pa.table({"t": ["x"], "deep": pa.array([None], kind)}), file)
    expected = converted("a.parquet", file.getvalue(), endless([]))
    [warning] = expected.found["warnings"]
    assert warning.startswith("COLUMN_AS_TEXT /deep: ")


@pytest.mark.parametrize(("name", "lines"), [("a.jsonl.gz", 20_000), ("a.csv.gz", 20_000), ("a.parquet.gz", 1)])
def test_a_limit_holds_over_all_steps(name: str, lines: int) -> None:
    whole = packed(b'{"t":"12"}\n' * 60_000, 100_000)
    for data, most, code in ((whole, 500_000, "GZIP_BOMB"), (whole[:-1], 10**6, "GZIP_INVALID")):
        some = iter([Step(0, loses=False)] * 9)
        assert converted(name, data, some, max_upload_bytes=most, range_lines=lines).code == code
        assert len(list(some)) < 9 - 1, "the first step saw it already"


@example([b"ab", b"cd", b"", b"ef"], 1, 3)
@given(st.lists(st.binary(max_size=5), max_size=6), st.integers(0, 35), st.none() | st.integers(0, 35))
def test_pieces_are_read_as_one_stream(parts: list[bytes], start: int, end: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        it = context(Path(folder))
        written: list[Piece] = [pieces.write(it, str(n), [part])[0] for n, part in enumerate(parts)]
        assert b"".join(pieces.read(it, written, start, end)) == b"".join(parts)[start:end]
