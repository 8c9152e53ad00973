"""Reading records: CSV, JSON lines, Parquet; each record one entry, what is broken refused by itself."""

from __future__ import annotations

import importlib
import io
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchdrop.core.errors import PermanentError
from batchdrop.core.problem import Code, Problem
from batchdrop.core.recipe.draft import media_type
from batchdrop.core.recipe.parse import parse_recipe
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.result.tables import Kind
from batchdrop.core.upload.tables import (
    Blank,
    Entry,
    Place,
    Record,
    Unreadable,
    parquet_kinds,
    read_header,
    read_jsonl,
    read_parquet,
    read_separated,
)
from batchdrop.core.upload.tables.csv import MAX_REREAD_BYTES
from batchdrop.dialects.gemini import language as gemini
from batchdrop.dialects.gemini.check import check_line
from batchdrop.dialects.known.render import Renderer, render_record, renderer
from batchdrop.dialects.line import Accepted
from batchdrop.ports import BatchKind
from tests.samples.tables import RECORDS, write_samples

pa: Any = importlib.import_module("pyarrow")
pq: Any = importlib.import_module("pyarrow.parquet")


def separated(data: bytes, **options: Any) -> list[Entry]:
    return list(read_separated([data], **options))


def codes(entries: list[Entry]) -> list[str]:
    return [entry.problem.code if isinstance(entry, Unreadable) else "" for entry in entries]


def fields(entries: list[Entry]) -> list[dict[str, Any]]:
    return [entry.fields for entry in entries if isinstance(entry, Record)]


# -------------------------------------------------------------------------------------------------------- CSV
def test_rfc_4180_is_read() -> None:
    data = b'\xef\xbb\xbfid, text \r\n1,"a ""q"",\r\nb"\r\n\r\n2,\xc3\xa4\r\n3,""'
    assert fields(separated(data)) == [
        {"id": "1", "text": 'a "q",\r\nb'},
        {"id": "2", "text": "ä"},
        {"id": "3", "text": ""},
    ]


def test_tabs_separate_when_asked_to() -> None:
    assert fields(separated(b"a\tb\n1,2\t3\n", delimiter="\t")) == [{"a": "1,2", "b": "3"}]


def test_a_broken_record_is_refused_by_itself_and_numbered() -> None:
    data = b'a,b\n1,x\n2\n3,x,y\n4,\xff\n5,"x"y\n6,x\n7,"open\n8,x\n9,x\n'
    entries = separated(data)
    assert [entry.number for entry in entries] == list(range(1, 10))
    ragged, quotes = Code.RAGGED_RECORD, Code.BAD_QUOTES
    assert codes(entries) == ["", ragged, ragged, Code.NOT_UTF8, quotes, "", quotes, "", ""]


def test_a_quote_that_never_closes_costs_one_line_of_a_large_table() -> None:
    data = b'a,b\n0,"open\n' + b"1,x\n" * 50_000
    entries = separated(data, max_record_bytes=1000)
    assert codes(entries[:2]) == [Code.BAD_QUOTES, ""]
    assert len(entries) == 50_001


def test_quotes_broken_throughout_end_in_a_refusal_not_in_endless_rereading() -> None:
    lines = (b"a" * 2000 + b'","\n') * 1000
    with pytest.raises(PermanentError, match="Too many quotes"):
        separated(b"x,y\n" + lines)


def test_a_record_over_the_limit_is_refused_and_reading_goes_on() -> None:
    entries = separated(b"a\n" + b"x" * 100 + b'\n1\n"' + b"y\n" * 60 + b'"\n2\n', max_record_bytes=50)
    assert codes(entries)[:3] == [Code.LINE_TOO_LONG, "", Code.BAD_QUOTES]
    assert fields(entries)[-1] == {"a": "2"}


def test_a_line_over_the_limit_behind_an_open_quote_is_refused_by_itself_too() -> None:
    entries = separated(b'a\n"open\n' + b"x" * 100 + b"\n1\n", max_record_bytes=50)
    assert codes(entries) == [Code.LINE_TOO_LONG, Code.LINE_TOO_LONG, ""]


def test_what_was_reread_before_an_interruption_counts() -> None:
    place = Place(offset=2, header=("a",), reread=MAX_REREAD_BYTES)
    with pytest.raises(PermanentError) as refused:
        list(read_separated([b'"open\n1\n'], place=place))
    assert refused.value.code == "TABLE_INVALID"


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,a\n1,2\n", b"a, a\n", b"\xff\n1\n", b'"a\n1\n', b"a\r1\r2\r"])
def test_a_table_without_a_usable_header_is_refused(data: bytes) -> None:
    with pytest.raises(PermanentError) as error:
        separated(data)
    assert error.value.code == "TABLE_INVALID"


def test_the_header_alone_can_be_read() -> None:
    assert read_header(iter([b'id,"a ', b'b"\n', b"1,2"])) == ("id", "a b")


def test_a_csv_is_read_in_constant_memory() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"a,b\n"
        for _ in range(20):
            yield b'1,"two words"\n' * 5000

    tracemalloc.start()
    count = sum(1 for _ in read_separated(chunks()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 100_000
    assert peak < 1024 * 1024


# ------------------------------------------------------------------------------------------------- JSON lines
def test_json_lines_keep_their_numbers_and_hazards_are_refused() -> None:
    data = b'{"a":1}\n\n[1]\n{"a":1,"a":2}\n{"a":NaN}\n{"a":"\xff"}\n' + b"x" * 100 + b'\n{"a":"\\u2028"}'
    entries = list(read_jsonl([data], max_record_bytes=50))
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert entries[1] == Blank(2)
    wrong = [Code.NOT_OBJECT, Code.DUPLICATE_NAME, Code.BAD_NUMBER, Code.NOT_UTF8, Code.LINE_TOO_LONG]
    assert codes(entries) == ["", "", *wrong, ""]


# ---------------------------------------------------------------------------------------------------- Parquet
def parquet(table: Any, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file


def test_values_that_json_has_not_become_text() -> None:
    moment = datetime.fromisoformat("2026-01-02T03:04:05.000006+00:00")
    table = pa.table(
        {
            "day": [date(2026, 1, 2)],
            "moment": [moment],
            "fine": pa.array([1_000_000_007], pa.timestamp("ns")),
            "price": [Decimal("1.50")],
            "data": [b"\x00\xff"],
            "nan": [float("nan")],
            "took": [timedelta(seconds=90)],
            "list": [[date(2026, 1, 2)]],
            "inner": [{"price": Decimal("2.0"), "n": None}],
            "map": pa.array([[("a", date(2026, 1, 2))]], pa.map_(pa.string(), pa.date32())),
            "word": pa.array(["x"]).dictionary_encode(),
        }
    )
    [found] = fields(list(read_parquet(parquet(table))))
    assert found == {
        "day": "2026-01-02",
        "moment": "2026-01-02T03:04:05.000006+00:00",
        "fine": "1970-01-01T00:00:01",
        "price": "1.50",
        "data": "AP8=",
        "nan": None,
        "took": 90.0,
        "list": ["2026-01-02"],
        "inner": {"price": "2.0", "n": None},
        "map": {"a": "2026-01-02"},
        "word": "x",
    }


def test_a_date_python_has_not_costs_one_record() -> None:
    table = pa.table({"t": pa.array([0, 2**42, 0], pa.timestamp("s")), "n": [1, 2, 3]})
    entries = list(read_parquet(parquet(table)))
    assert codes(entries) == ["", Code.WRONG_TYPE, ""]
    assert [entry.number for entry in entries] == [1, 2, 3]


def test_numbers_go_on_over_row_groups_and_batches() -> None:
    file = parquet(pa.table({"n": list(range(5000))}), row_group_size=700)
    assert [entry.number for entry in read_parquet(file)] == list(range(1, 5001))
    assert list(read_parquet(parquet(pa.table({"n": pa.array([], pa.int64())})))) == []


@pytest.mark.parametrize("damage", ["not", "cut", "spoilt", "empty"])
def test_a_damaged_parquet_file_is_refused(damage: str) -> None:
    good = parquet(pa.table({"t": ["some text " * 9] * 999})).getvalue()
    data = {"not": b"PAR1" * 20, "cut": good[:-9], "spoilt": good[:4] + b"\xff" * 300 + good[304:], "empty": b""}[
        damage
    ]
    with pytest.raises(PermanentError) as error:
        list(read_parquet(io.BytesIO(data)))
    assert error.value.code == "TABLE_INVALID"


def test_an_error_of_the_file_itself_passes_through_pyarrow() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002
            raise PermanentError("gone", code="OBJECT_GONE")

    with pytest.raises(PermanentError) as error:
        list(read_parquet(Broken(parquet(pa.table({"n": [1]})).getvalue())))
    assert error.value.code == "OBJECT_GONE"


def test_the_kinds_of_parquet_columns_are_told() -> None:
    table = pa.table({"a": ["x"], "b": [1], "c": [1.5], "d": [True], "e": [[1]], "f": [date(2026, 1, 2)]})
    kinds = [Kind.TEXT, Kind.INTEGER, Kind.NUMBER, Kind.BOOLEAN, Kind.JSON, Kind.TEXT]
    assert parquet_kinds(parquet(table)) == dict(zip("abcdef", kinds, strict=True))


# -------------------------------------------------------------------------------------------------- rendering
def compiled(text: str) -> Renderer:
    recipe = parse_recipe(text.encode())
    assert isinstance(recipe, Recipe), recipe
    return renderer(gemini, recipe)


def rendered(recipe: Renderer, record: dict[str, Any]) -> bytes:
    line = render_record(recipe, record)
    assert isinstance(line, bytes), line
    return line


def test_a_record_becomes_a_gemini_line() -> None:
    recipe = compiled(
        "system: Sort.\nprompt: 'Say {{ text }}'\nkey: id\nlabels: [a, b]\n"
        "attachments: [photo, {field: doc, type: text/csv}]\n"
        "generation: {temperature: 0.5, top_k: 3, thinking_config: {thinking_budget: 0}}"
    )
    record = {
        "id": 7,
        "text": 'x "y"',
        "photo": ["gs://b/c d.JPG".replace(" ", ""), "https://x/y.png?z"],
        "doc": "gs://b/x",
    }
    line = rendered(recipe, record)
    assert line == (
        b'{"key":7,"request":{"contents":[{"role":"user","parts":['
        b'{"fileData":{"fileUri":"gs://b/cd.JPG","mimeType":"image/jpeg"}},'
        b'{"fileData":{"fileUri":"https://x/y.png?z","mimeType":"image/png"}},'
        b'{"fileData":{"fileUri":"gs://b/x","mimeType":"text/csv"}},{"text":"Say x \\"y\\""}]}],'
        b'"systemInstruction":{"parts":[{"text":"Sort."}]},"generationConfig":{"temperature":0.5,"topK":3,'
        b'"thinkingConfig":{"thinkingBudget":0},"responseMimeType":"application/json",'
        b'"responseJsonSchema":{"type":"string","enum":["a","b"]}}}}'
    )
    assert isinstance(check_line(line), Accepted)


def test_an_embedding_recipe_makes_embedding_requests() -> None:
    line = rendered(compiled("prompt: '{{ t }}'\nembed: {dimensions: 64}"), {"t": "x"})
    assert line == b'{"key":null,"request":{"content":{"parts":[{"text":"x"}]},"outputDimensionality":64}}'
    found = check_line(line)
    assert isinstance(found, Accepted)
    assert found.kind is BatchKind.EMBED


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"t": "x", "p": ""}, Code.MISSING_FIELD),
        ({"id": [1], "t": "x", "p": ""}, Code.WRONG_TYPE),
        ({"id": True, "t": "x", "p": ""}, Code.WRONG_TYPE),
        ({"id": 1, "p": ""}, Code.MISSING_FIELD),
        ({"id": 1, "t": " \n", "p": ""}, Code.EMPTY),
        ({"id": 1, "t": "x"}, Code.MISSING_FIELD),
        ({"id": 1, "t": "x", "p": "photo.png"}, Code.BAD_URI),
        ({"id": 1, "t": "x", "p": 5}, Code.BAD_URI),
        ({"id": 1, "t": "x", "p": "gs://b/photo"}, Code.BAD_ENUM),
        ({"id": 1, "t": "\ud800", "p": ""}, Code.LONE_SURROGATE),
        ({"id": "\ud800", "t": "x", "p": ""}, Code.WRONG_TYPE),
        ({"id": 1, "t": "x", "p": "gs://b/\ud800.png"}, Code.LONE_SURROGATE),
        ({"id": 1, "t": "x" * 20_971_520, "p": ""}, Code.LINE_TOO_LONG),
    ],
)
def test_what_is_in_the_way_has_a_code(record: dict[str, Any], code: Code) -> None:
    found = render_record(compiled("prompt: '{{ t }}'\nkey: id\nattachments: [p]"), record)
    assert isinstance(found, Problem)
    assert found.code == code


def test_a_recipe_that_asks_nothing_cannot_serve_records() -> None:
    with pytest.raises(PermanentError) as error:
        compiled("model: a")
    assert error.value.code == "RECIPE_WITHOUT_PROMPT"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("gs://b/a.PDF", "application/pdf"),
        ("https://x/a.png?b=.pdf#c", "image/png"),
        ("gs://b/a?.jpg", "image/jpeg"),
        ("gs://b.png/a", None),
    ],
)
def test_the_ending_tells_the_type(uri: str, expected: str | None) -> None:
    assert media_type(uri) == expected


def test_the_samples_become_requests_one_for_each_record(tmp_path: Path) -> None:
    write_samples(tmp_path)
    readers: dict[str, Callable[[bytes], Iterator[Entry]]] = {
        "reviews/reviews.csv": lambda data: read_separated([data]),
        "tickets/tickets.jsonl": lambda data: read_jsonl([data]),
        "products/products.parquet": lambda data: read_parquet(io.BytesIO(data)),
    }
    for name, reader in readers.items():
        recipe = compiled((tmp_path / name).with_name("recipe.yaml").read_text(encoding="utf-8"))
        lines = [rendered(recipe, row) for row in fields(list(reader((tmp_path / name).read_bytes())))]
        assert len(lines) == RECORDS
        assert all(isinstance(check_line(line), Accepted) for line in lines)
