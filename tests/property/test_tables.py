"""Tables, recipes and templates: total over all bytes, nothing lost, everything comes back."""

from __future__ import annotations

import csv
import importlib
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.problem import Problem
from batchdrop.core.recipe.parse import merged, parse_recipe
from batchdrop.core.recipe.recipe import Generation, Recipe
from batchdrop.core.recipe.template import FILTERS, TemplateError, compile_template
from batchdrop.core.result.tables import Joined, Kind, plan_columns, write_csv, write_parquet
from batchdrop.core.upload.tables import Blank, Entry, Record, Unreadable, read_jsonl, read_parquet, read_separated
from batchdrop.dialects.gemini import language as gemini
from batchdrop.dialects.gemini.check import check_line, check_request
from batchdrop.dialects.known.render import render_record, renderer
from batchdrop.dialects.line import Accepted
from tests.samples.tables import REVIEWS_RECIPE, TICKETS_RECIPE

pa: Any = importlib.import_module("pyarrow")
pq: Any = importlib.import_module("pyarrow.parquet")

fragments = st.lists(
    st.sampled_from(
        [b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"a", b"\xc3\xa4", b"\xff", b"\x00", b" ", b"b,c", b"="]
    ),
    max_size=40,
).map(b"".join)
chunk_sizes = st.integers(1, 9)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values_ = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def numbered(entries: list[Entry]) -> bool:
    return [entry.number for entry in entries] == list(range(1, len(entries) + 1))


def entries_of(read: Callable[[], Iterator[Entry]]) -> list[Entry] | None:
    """Return the entries, or None for a file that is refused; nothing else may be raised."""
    try:
        return list(read())
    except PermanentError:
        return None


@given(fragments | st.binary(max_size=60), chunk_sizes, st.integers(3, 40))
def test_any_bytes_are_a_table_or_a_refusal(data: bytes, size: int, most: int) -> None:
    entries = entries_of(lambda: read_separated(cut(data, size), max_record_bytes=most))
    assert entries is None or numbered(entries)
    assert entries == entries_of(lambda: read_separated([data], max_record_bytes=most))


@given(fragments)
def test_every_line_of_a_table_is_blank_or_in_one_entry(data: bytes) -> None:
    """Counted by marks: each physical line ends with one, and each mark must come out or be in a refused line."""
    lines = [line for line in data.replace(b"\r", b"").split(b"\n") if line]
    table = b"h\n" + b"".join(b"%bM%d\n" % (line.replace(b",", b""), n) for n, line in enumerate(lines))
    entries = list(read_separated([table]))
    read = sum(str(entry.fields["h"]).count("\n") + 1 for entry in entries if isinstance(entry, Record))
    not_utf8 = sum(isinstance(entry, Unreadable) and entry.problem.code is Code.NOT_UTF8 for entry in entries)
    others = sum(isinstance(entry, Unreadable) and entry.problem.code is not Code.NOT_UTF8 for entry in entries)
    assert read + others <= len(lines)
    if not not_utf8:
        assert read + others == len(lines)


@given(st.lists(st.lists(texts, min_size=2, max_size=2), max_size=20), st.sampled_from(["\r\n", "\n"]), chunk_sizes)
def test_what_the_csv_module_writes_is_read_back(rows: list[list[str]], end: str, size: int) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b"], *rows])
    entries = list(read_separated(cut(out.getvalue().encode(), size)))
    assert [list(entry.fields.values()) for entry in entries if isinstance(entry, Record)] == rows
    assert len(entries) == len(rows)


@given(st.lists(st.dictionaries(texts, values_, max_size=4), max_size=10), st.binary(max_size=30))
def test_json_records_are_read_back_and_any_bytes_are_entries(records: list[dict[str, Any]], junk: bytes) -> None:
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    assert [entry.fields for entry in read_jsonl([lines]) if isinstance(entry, Record)] == records
    expected = sum(bool(line.strip()) for line in junk.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    entries = list(read_jsonl([junk]))
    assert numbered(entries)
    assert sum(not isinstance(entry, Blank) for entry in entries) == expected


parquet_rows = st.lists(
    st.fixed_dictionaries(
        {"t": st.none() | texts, "n": st.none() | st.integers(-(2**63), 2**63 - 1), "l": st.lists(st.booleans())}
    ),
    max_size=15,
)
PARQUET_SCHEMA = pa.schema([("t", pa.string()), ("n", pa.int64()), ("l", pa.list_(pa.bool_()))])


@settings(max_examples=50)
@given(parquet_rows, st.integers(1, 5))
def test_parquet_is_read_back(rows: list[dict[str, Any]], group: int) -> None:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, PARQUET_SCHEMA), file, row_group_size=group)
    assert list(read_parquet(file)) == [Record(number, row) for number, row in enumerate(rows, 1)]


GOOD = io.BytesIO()
pq.write_table(pa.table({"t": ["some text"] * 50, "n": list(range(50))}), GOOD)


@settings(max_examples=50)
@given(st.binary(max_size=40), st.integers(0, len(GOOD.getvalue())))
def test_any_bytes_are_parquet_or_a_refusal(junk: bytes, at: int) -> None:
    data = GOOD.getvalue()
    for file in (junk, data[:at], data[:4] + junk):
        assert numbered(entries_of(lambda file=file: read_parquet(io.BytesIO(file))) or [])


RECIPE_LINES = (REVIEWS_RECIPE + TICKETS_RECIPE).splitlines(keepends=True)
YAML_MARKS = [
    "- ",
    "  ",
    "[",
    "{",
    ": ",
    "&a ",
    "*a\n",
    "!x ",
    "'",
    '"',
    "|\n",
    "\t",
    "\n",
    "? ",
    "%",
    "\\ud800",
    "1e999",
]
yaml_bits = st.lists(st.sampled_from([*RECIPE_LINES, *YAML_MARKS]), max_size=15).map("".join)


@given(st.binary(max_size=60) | yaml_bits.map(str.encode) | texts.map(str.encode))
def test_any_bytes_are_a_recipe_or_problems_with_lines(data: bytes) -> None:
    found = parse_recipe(data)
    if isinstance(found, Recipe):
        assert isinstance(merged(found, {}), Recipe)
    else:
        assert found
        assert all(1 <= problem.line <= data.count(b"\n") + data.count(b"\r") + 2 for problem in found)


@given(st.dictionaries(st.sampled_from(["model", "deadline", "output", "label-x", "priority"]) | texts, texts))
def test_any_metadata_is_taken_or_told(metadata: dict[str, str]) -> None:
    found = merged(Recipe(), metadata)
    assert isinstance(found, Recipe) or found


TEMPLATE_BITS = """{{ a }}|{{ b.c }}|{{ | }}|{% | %}|if a|for x in a|endfor|endif|else|x|[a]|a[b]|a < b|a in b|{#|#}
{% for x in a %}|{{ x }}|{% endfor %}|{% if a > b %}|{% endif %}|-1|{{ a ~|record|loop.index|not |"|a.b|a is none"""
FILTERED = [f"{{{{ a|{name} }}}}" for name in sorted(FILTERS)] + [f"{{{{ a|{name}(b) }}}}" for name in sorted(FILTERS)]
template_bits = st.lists(st.sampled_from([*re.split(r"[|\n]", TEMPLATE_BITS), *FILTERED]), max_size=12).map("".join)


@given(template_bits | texts, st.dictionaries(st.sampled_from(["a", "b", "c"]), values_))
def test_any_template_is_refused_or_renders_or_tells_why_not(text: str, fields: dict[str, Any]) -> None:
    try:
        template = compile_template(text)
    except TemplateError:
        return
    assert isinstance(template.render(fields), (str, Problem))


number_ = st.none() | st.floats(0, 1)
recipes = st.builds(
    Recipe,
    prompt=st.sampled_from(["{{ a }}", "{{ a }} and {{ b|default('x') }}", "fixed"]),
    system=st.none() | st.just("Be brief. {{ b }}"),
    key=st.none() | st.just("k"),
    labels=st.sampled_from([(), ("x", "y")]),
    attachments=st.sampled_from([[], ["p"], [{"field": "p", "type": "image/png"}]]),
    generation=st.builds(
        Generation,
        temperature=number_,
        top_p=number_,
        max_output_tokens=st.none() | st.integers(1, 9999),
        stop_sequences=st.none() | st.tuples(texts),
    ),
)
addresses = st.sampled_from(["gs://b/x.png", "https://h/y.jpg?z=1", "", "no", "gs://b/x"]) | texts
records_ = st.dictionaries(st.sampled_from(["a", "b", "k"]), values_ | st.text(max_size=5)).flatmap(
    lambda fields: addresses.map(lambda address: fields | {"p": address})
)


@settings(max_examples=300)
@given(recipes, records_)
def test_whatever_is_rendered_passes_the_validation(recipe: Recipe, fields: dict[str, Any]) -> None:
    line = render_record(renderer(gemini, recipe), fields)
    if isinstance(line, Problem):
        assert line.message
        return
    assert isinstance(check_line(line), Accepted)
    assert check_request(json.loads(line)["request"])[2] == []


@given(st.lists(st.tuples(texts, texts), max_size=10))
def test_a_written_csv_comes_back_but_for_the_guards_against_formulas(pairs: list[tuple[str, str]]) -> None:
    rows: list[Joined] = [
        (b'{"line":1,"outcome":"answered","text":%b}\n' % json.dumps(answer).encode(), {"x": x}) for answer, x in pairs
    ]
    data = b"".join(write_csv(rows, plan_columns(fields={"x": Kind.TEXT}))).decode("utf-8-sig")
    found = list(csv.DictReader(io.StringIO(data, newline="")))
    assert [(row["answer"].removeprefix("'"), row["x"].removeprefix("'")) for row in found] == [
        (answer.removeprefix("'"), x.removeprefix("'")) for answer, x in pairs
    ]
    cells = [cell for row in found for cell in row.values()]
    assert all(re.fullmatch(r"[-+][0-9.,eE+-]+", cell) for cell in cells if cell.lstrip()[:1] in tuple("=+-@"))


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), values_), max_size=10), st.integers(1, 500))
def test_a_written_parquet_file_has_a_row_for_each_row(answers: list[dict[str, Any]], group: int) -> None:
    kinds = {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {}}
    rows: list[Joined] = [
        (b'{"line":%d,"outcome":"answered","json":%b}\n' % (line, json.dumps(answer).encode()), None)
        for line, answer in enumerate(answers, 1)
    ]
    data = b"".join(write_parquet(rows, plan_columns({"properties": kinds}), group_bytes=group))
    table = pq.read_table(io.BytesIO(data))
    assert table["line"].to_pylist() == list(range(1, len(answers) + 1))
    texts_ = [answer.get("a") for answer in answers]
    assert [a == b for a, b in zip(table["a"].to_pylist(), texts_, strict=True) if isinstance(b, str)].count(False) == 0
