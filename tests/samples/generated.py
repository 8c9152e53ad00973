"""Uploads of every kind from a seed: what users, spreadsheets and pandas write, with awkward names and metadata."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from tests.samples import dialects

Row = dict[str, Any]
NAMES: Final = (
    "", "__x__", "__name__", "__index_level_0__", "a.b", "a`b", "key", "text", "id", "z", "é", "😀", "record", "line",
    "answer", "0", "-1", "a b", "A", "a", "*", "~", "[x]", "data", "version", "x" * 200, "колонка", "tab\tname",
)  # fmt: skip
TEXTS: Final = (
    "fine", "", "two\nlines", '"quoted"', "=SUM(A1)", "é\u2028x", "😀", "a,b;c\td", "0012", "true", "null", "1e999",
    "-", "  spaces  ", "[[emulate:error=3]]", "[[emulate:block]]", "[[emulate:empty]]", "[[emulate:missing]]",
    "[[emulate:error-once=13]]", "[[emulate:duplicate]]", "x" * 3000,
)  # fmt: skip
FOLDERS: Final = ("", "team/", "__x__/", "a b/é/", "deep/" * 20, "Équipe A/", "a//b/", "x" * 800 + "/")
METADATA: Final = (
    ("__x__", "1"), ("__name__", "é"), ("label-__x__", "1"), ("label-", "1"), ("label-note", "x" * 1500),
    ("label-" + "n" * 300, "1"), ("label-team", "Équipe A"), ("label-team", "../x"), ("label-cost-center", "42"),
    ("trace", "😀"), ("model", "gemini-2.5-flash"), ("model", "no-such-model"), ("deadline", "6h"), ("deadline", "x"),
    ("priority", "7"), ("policy", "strict"), ("cache", "off"), ("max-cost", "0.0000001"), ("output", "csv join"),
    ("output", "parquet,csv,jsonl"), ("output", "openai"), ("modle", "typo"), ("googclient", "1"), ("timeout", "1"),
)  # fmt: skip
RECIPES: Final = (
    "prompt: 'Say: {{ FIELD }}'\n",
    "prompt: 'Say: {{ FIELD }}'\noutput: {formats: [jsonl, csv, parquet], join: true}\n",
    "prompt: 'Say: {{ FIELD }}'\noutput: {formats: [csv], join: true}\nkey: KEY\n",
    "prompt: 'Say: {{ FIELD }}'\nlabels: [good, bad]\noutput: {formats: [parquet], join: true}\n",
    "prompt: 'Say: {{ FIELD }}'\nresponse_schema: SCHEMA\noutput: {formats: [csv], join: true}\n",
    "prompt: 'Say: {{ FIELD }}'\nattribution: {ATTRIBUTION}\npriority: 3\n",
    "prompt: 'Say: {{ FIELD }}'\noutput: {dialect: openai, formats: [jsonl]}\n",
    "prompt: 'Say: {{ nope }}'\n",
    "promt: typo\n",
)


@dataclass(frozen=True)
class Generated:
    """One upload, and the recipe of its folder, if it has one."""

    kind: str
    name: str
    data: bytes
    metadata: dict[str, str]
    recipe: bytes | None

    @property
    def folder(self) -> str:
        """The upload's folder, ending in a slash, or nothing."""
        head, slash, _ = self.name.rpartition("/")
        return head + slash


def generated(seed: int) -> Generated:
    """Return the upload of a seed: always the same."""
    chance = random.Random(seed)
    kind = list(_KINDS)[seed % len(_KINDS)]
    data, suffix, names = _KINDS[kind](chance)
    if kind != "parquet" and chance.random() < 0.25:
        data, suffix = gzip.compress(data, mtime=0), suffix + ".gz"
    metadata = dict(chance.sample(METADATA, chance.choice((0, 0, 1, 2, 4))))
    if chance.random() < 0.05:
        metadata |= {f"label-{number}": "v" for number in range(120)}
    recipe = _recipe(chance, names) if names and chance.random() < 0.95 else None
    return Generated(kind, chance.choice(FOLDERS) + "upload" + suffix, data, metadata, recipe)


def _recipe(chance: random.Random, names: list[str]) -> bytes:
    simple = [name for name in names if name.isidentifier() and name.isascii()]
    field = chance.choice(simple) if simple else "text"
    attribution = ", ".join(f"a{number}: v" for number in range(64))
    text = chance.choice(RECIPES).replace("FIELD", field).replace("KEY", field).replace("ATTRIBUTION", attribution)
    text = text.replace("SCHEMA", "{type: object, properties: {__x__: {type: string}, a: {type: integer}}}")
    return text.encode()


def _names(chance: random.Random) -> list[str]:
    return chance.sample(NAMES, chance.randint(1, 12))


def _rows(chance: random.Random, names: list[str], value: Callable[[random.Random], Any]) -> list[Row]:
    return [{name: value(chance) for name in names} for _ in range(chance.randint(1, 25))]


def _value(chance: random.Random) -> Any:
    values: tuple[Any, ...] = (
        chance.choice(TEXTS), chance.randint(-5, 5), 2**63, -(2**70), 1.5, 1e-9, True, None, [], [[1], [2, [3]]],
        {"__x__": 1, "": 2}, {"deep": {"a": [None]}}, [{"a": 1}],
    )  # fmt: skip
    return chance.choice(values)


def _jsonl(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def _requests(chance: random.Random) -> tuple[bytes, str, list[str]]:
    rows: list[Row] = []
    for _ in range(chance.randint(1, 25)):
        body = {"contents": [{"role": "user", "parts": [{"text": chance.choice(TEXTS) or "x"}]}]}
        rows.append(chance.choice(({"key": chance.choice(NAMES), "request": body}, {"key": 7, "request": body}, body)))
    lines = _jsonl(rows)
    broken = b'\n{"key": "k"\n\xff\n{"key":"a","key":"b"}\n' if chance.random() < 0.3 else b""
    return lines + broken, ".jsonl", []


def _separated(chance: random.Random) -> tuple[bytes, str, list[str]]:
    names = _names(chance)
    suffix, mark = chance.choice(((".csv", ","), (".tsv", "\t")))
    frame = _pandas().DataFrame(_rows(chance, names, lambda chance: chance.choice(TEXTS)))
    text = frame.to_csv(sep=mark, index=chance.random() < 0.5, lineterminator=chance.choice(("\n", "\r\n")))
    return (b"\xef\xbb\xbf" if chance.random() < 0.2 else b"") + text.encode(), suffix, names


def _parquet(chance: random.Random) -> tuple[bytes, str, list[str]]:
    names = _names(chance)
    count = chance.randint(1, 25)
    columns = {name: chance.choice(_COLUMNS)(chance, count) for name in names}
    frame = _pandas().DataFrame(columns)
    if chance.random() < 0.6:
        frame.index = _pandas().Index(chance.sample(range(99), count), name=chance.choice((None, "i", "__i__")))
    out = io.BytesIO()
    frame.to_parquet(out)
    return out.getvalue(), ".parquet", names


_COLUMNS: Final[tuple[Callable[[random.Random, int], list[Any]], ...]] = (
    lambda chance, count: [chance.choice(TEXTS) for _ in range(count)],
    lambda chance, count: [chance.randint(-(2**63), 2**63 - 1) for _ in range(count)],
    lambda chance, count: [chance.choice((1.5, float("nan"), float("inf"), -0.0)) for _ in range(count)],
    lambda chance, count: [chance.choice((True, False, None)) for _ in range(count)],
    lambda chance, count: [date(2026, 1, 1) + timedelta(chance.randint(0, 999)) for _ in range(count)],
    lambda chance, count: [[chance.choice(TEXTS)] * chance.randint(0, 3) for _ in range(count)],
    lambda chance, count: [{"__x__": chance.random(), "b": None} for _ in range(count)],
)


def _records(chance: random.Random) -> tuple[bytes, str, list[str]]:
    names = ["__typename__", *_names(chance)]
    chance.shuffle(names)
    return _jsonl(_rows(chance, names, _value)), ".jsonl", names


def _dialect(chance: random.Random) -> tuple[bytes, str, list[str]]:
    dialect = chance.choice((dialects.LineForm.OPENAI, dialects.LineForm.ANTHROPIC, dialects.LineForm.GEMINI_BARE))
    lines = list(dialects.lines(dialect, 60))
    begin = chance.randint(0, 30)
    return b"".join(line.rstrip(b"\n") + b"\n" for line in lines[begin : begin + 20]), ".jsonl", []


def _pandas() -> Any:
    return importlib.import_module("pandas")


_KINDS: Final[dict[str, Callable[[random.Random], tuple[bytes, str, list[str]]]]] = {
    "requests": _requests,
    "separated": _separated,
    "parquet": _parquet,
    "records": _records,
    "dialect": _dialect,
}
