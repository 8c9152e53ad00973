"""Tables and archives that grow: CSV by its quotes, Parquet by its dictionaries and pages, gzip by its members."""

from __future__ import annotations

import gzip
import importlib
import io
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.samples.hostile.cases import Case

pa: Any = importlib.import_module("pyarrow")
pq: Any = importlib.import_module("pyarrow.parquet")

_RECIPE = b"prompt: 'x {{ record[\"a\"]|default(1)|string|truncate(100) }}'\n"
_JOIN = _RECIPE + b"output: {formats: [jsonl, csv], join: true}\n"


def _parquet(table: Any, **options: Any) -> bytes:
    held = io.BytesIO()
    pq.write_table(table, held, compression="zstd", **options)
    return held.getvalue()


def _column(values: Any, **options: Any) -> bytes:
    return _parquet(pa.table({"a": values}), **options)


def _repeated(text: str, rows: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])


def _nested(depth: int) -> Any:
    kind: Any = pa.int32()
    value: Any = 1
    for _ in range(depth):
        kind, value = pa.list_(kind), [value]
    return pa.array([value], kind)


def _structs(depth: int) -> Any:
    kind: Any = pa.int32()
    value: Any = 1
    for _ in range(depth):
        kind, value = pa.struct([("a", kind)]), {"a": value}
    return pa.array([value], kind)


def _damaged(seed: int) -> bytes:
    """Return a table some bytes of which were changed."""
    data = bytearray(_column(pa.array([f"text {number}" for number in range(2_000)])))
    chance = random.Random(seed)
    for _ in range(seed % 40 + 1):
        data[chance.randrange(4, len(data))] = chance.randrange(256)
    return bytes(data)


def _lying(size: int) -> bytes:
    """Return a table whose first page header says another unpacked size than the footer."""
    data = _column(pa.array(["x" * 100]), use_dictionary=False)
    start = data.index(b"\x15", 4)
    end = data.index(b"\x15", start + 1) + 1
    zigzag, number = b"", size << 1
    while number > 127:
        zigzag += bytes([number & 127 | 128])
        number >>= 7
    rest = end
    while data[rest] > 127:
        rest += 1
    return data[:end] + zigzag + bytes([number]) + data[rest + 1 :]


def _rows_of(lengths: list[int], kind: Any) -> Any:
    """Return lists of nulls of these lengths."""
    offsets = list(itertools.accumulate(lengths, initial=0))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.nulls(offsets[-1], kind))


def _beside(lists: Any, **options: Any) -> bytes:
    """Return a table whose lists are in proportion to the file, because of what is beside them."""
    rows, noise = len(lists), random.Random(5).randbytes(3_000_000)
    texts = [noise[row * len(noise) // rows : (row + 1) * len(noise) // rows] for row in range(rows)]
    return _parquet(pa.table({"a": pa.array(texts, pa.binary()), "b": lists}), **options)


def _many_in_lists(values: int, depth: int) -> Any:
    """Return one row of so many values, each of them in lists of its own."""
    held = pa.nulls(values, pa.int8())
    for _ in range(depth):
        held = pa.ListArray.from_arrays(pa.array(range(len(held) + 1), pa.int32()), held)
    return pa.ListArray.from_arrays(pa.array([0, values], pa.int32()), held)


def _few_said() -> bytes:
    """Return a table whose footer says that a column has 5 values, and whose page has 30 million."""
    data = _column(_rows_of([30_000_000], pa.int8()), data_page_size=1 << 30)
    said, lie = b"\x80\x8e\xce\x1c", b"\x8a\x80\x80\x00"
    place = data.index(said, len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    return data[:place] + lie + data[place + 4 :]


_PARQUET: dict[str, Callable[[], bytes]] = {
    "one cell of 400 MB": lambda: _column(
        pa.array(["x" * 400_000_000], pa.large_string()), use_dictionary=False, write_statistics=False
    ),
    "one cell of 60 MB": lambda: _column(pa.array(["x" * 60_000_000])),
    "one cell of 30 MB": lambda: _column(pa.array(["x" * 30_000_000])),
    "one cell of 30 MB, in a dictionary, in 2,000 rows": lambda: _column(_repeated("x" * 30_000_000, 2_000)),
    "3 million rows of 1,000 characters": lambda: _column(_repeated("x" * 1_000, 3_000_000)),
    "50,000 rows of 100,000 characters": lambda: _column(_repeated("x" * 100_000, 50_000)),
    "20 million rows of nothing": lambda: _column(pa.nulls(20_000_000, pa.string())),
    "20 million rows of one bit": lambda: _column(pa.array([True] * 1).take(pa.array([0] * 20_000_000, pa.int32()))),
    "one row of 10 million numbers": lambda: _column(
        pa.ListArray.from_arrays(pa.array([0, 10_000_000], pa.int32()), pa.nulls(10_000_000, pa.int8()))
    ),
    "one row of 30 million numbers": lambda: _column(
        pa.ListArray.from_arrays(pa.array([0, 30_000_000], pa.int32()), pa.nulls(30_000_000, pa.int8()))
    ),
    "many rows of many numbers": lambda: _column(
        pa.FixedSizeListArray.from_arrays(pa.nulls(2_000_000, pa.int64()), 100_000)
    ),
    "one row of 100 million numbers": lambda: _column(_rows_of([100_000_000], pa.int8())),
    "one row of 10 million numbers, beside noise": lambda: _beside(_rows_of([10_000_000], pa.int8())),
    "one row of 30 million numbers, beside noise, among short ones": lambda: _beside(
        _rows_of([3] * 5_000 + [30_000_000] + [3] * 5_000, pa.int8()), data_page_version="2.0"
    ),
    "five rows of 2 million numbers, beside noise": lambda: _beside(_rows_of([2_000_000] * 5, pa.int64())),
    "one row of 2 million numbers, beside noise": lambda: _beside(_rows_of([2_000_000], pa.int64())),
    "one row of 8 million numbers, beside noise": lambda: _beside(_rows_of([8_000_000], pa.int64())),
    "20 rows of 400,000 numbers, beside noise": lambda: _beside(_rows_of([400_000] * 20, pa.int64())),
    "50 rows of 200,000 numbers, beside noise": lambda: _beside(_rows_of([200_000] * 50, pa.int64())),
    "300,000 numbers, each in 40 lists": lambda: _beside(_many_in_lists(300_000, 40)),
    "40,000 numbers, each in 40 lists": lambda: _beside(_many_in_lists(40_000, 39)),
    "a footer that says fewer values than a page has": _few_said,
    "one row with a map of a million": lambda: _column(
        pa.array([[(str(number), number) for number in range(1_000_000)]], pa.map_(pa.string(), pa.int64()))
    ),
    "lists in lists": lambda: _column(_nested(90)),
    "lists in 300 lists": lambda: _column(_nested(300)),
    "structs in structs": lambda: _column(_structs(90)),
    "structs in 600 structs": lambda: _column(_structs(600)),
    "9,000 columns": lambda: _parquet(pa.table({f"c{number}": [1] for number in range(9_000)})),
    "20,000 columns": lambda: _parquet(pa.table({f"c{number}": [1] for number in range(20_000)})),
    "2,000 row groups": lambda: _column(pa.array(range(2_000)), row_group_size=1),
    "a column's name of a megabyte": lambda: _parquet(pa.table({"c" * 1_000_000: [1]})),
    "metadata of 20 MB": lambda: _parquet(pa.table({"a": [1]}).replace_schema_metadata({"x": "y" * 20_000_000})),
    "two columns of one name": lambda: _parquet(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])),
    "no rows": lambda: _column(pa.array([], pa.string())),
    "no columns": lambda: _parquet(pa.table({})),
    "dates out of range": lambda: _column(pa.array([2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32())),
    "only the magic": lambda: b"PAR1PAR1",
    "a footer of 4 GB": lambda: b"PAR1" + b"\xff\xff\xff\xffPAR1",
    "a footer of 16 MB of nothing": lambda: b"PAR1" + b"\0" * (16 << 20) + (16 << 20).to_bytes(4, "little") + b"PAR1",
    "a footer of endless lists": lambda: (
        b"PAR1" + b"\x29\xfc\xff\xff\xff\x7f" * 100 + (600).to_bytes(4, "little") + b"PAR1"
    ),
    "a page header that says 2 GB": lambda: _lying(2**31 - 1),
    "a page header that says 500 MB": lambda: _lying(500_000_000),
    **{f"damaged by seed {seed}": (lambda seed=seed: _damaged(seed)) for seed in range(25)},
}


def _zipped(data: bytes) -> bytes:
    return gzip.compress(data, 9)


_SEPARATED: dict[str, Callable[[], bytes]] = {
    "a million columns": lambda: b",".join(b"c%d" % number for number in range(1_000_000)) + b"\n1\n",
    "9,000 columns": lambda: b",".join(b"c%d" % n for n in range(9_000)) + b"\n" + (b"1," * 8_999 + b"1\n") * 20,
    "a header twice": lambda: b"a," * 9_000 + b"a\n",
    "a cell of 19 MB": lambda: b'a\n"' + b"x" * (19 << 20) + b'"\n',
    "a cell of 30 MB": lambda: b'a\n"' + b"x" * (30 << 20) + b'"\n',
    "a quoted cell of newlines": lambda: b'a\n"' + b"\n" * 2_000_000 + b'"\n',
    "a quote that never closes": lambda: b'a\n"' + b"x\n" * 20_000,
    "quotes that never close": lambda: b"a\n" + b'"x\n' * 60_000,
    "quotes in the middle": lambda: b"a\n" + b'x"y\n' * 20_000,
    "a quote of quotes": lambda: b'a\n"' + b'""' * 5_000_000 + b'"\n',
    "commas": lambda: b"a\n" + b"," * 10_000_000 + b"\n",
    "one line of commas first": lambda: b"," * 10_000_000 + b"\n",
    "NUL": lambda: b"a\n\0\n" * 10_000,
    "NUL everywhere": lambda: b"\0" * 5_000_000,
    "carriage returns": lambda: b"a\n" + b"\r" * 5_000_000,
    "blank lines": lambda: b"a\n" + b"\n" * 1_000_000,
    "no UTF-8": lambda: b"a\n" + b"\xff\n" * 30_000,
    "formulas": lambda: b"a\n" + b"=cmd|x!A0\n" * 20_000,
    "a name of 10 MB": lambda: b"n" * 10_000_000 + b"\n1\n",
    "wide characters": lambda: b"a\n" + "\U0001f600".encode() * 4_000_000 + b"\n",
    "ragged records": lambda: b"a,b\n" + b"1\n" * 30_000,
    "nothing": lambda: b"",
    "only a header": lambda: b"a,b,c\n",
}
_GZIP: dict[str, Callable[[], bytes]] = {
    "a bomb of zeros": lambda: _zipped(b"0" * 300_000_000),
    "a bomb of newlines": lambda: _zipped(b"\n" * 100_000_000),
    "a bomb in a bomb": lambda: _zipped(_zipped(b"0" * 100_000_000)),
    "many members": lambda: _zipped(b"{}\n") * 20_000,
    "many empty members": lambda: _zipped(b"") * 100_000,
    "a long name": lambda: b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + b"n" * 10_000_000,
    "a field of much": lambda: b"\x1f\x8b\x08\x04\0\0\0\0\0\x03\xff\xff" + b"x" * 65_535,
    "cut off": lambda: _zipped(b'{"key":1}\n' * 1_000)[:-9],
    "damaged": lambda: _zipped(b'{"key":1}\n' * 1_000)[:40] + b"xxxxxxxx",
    "followed by something": lambda: _zipped(b'{"key":1}\n') + b"x" * 1_000,
    "followed by zeros": lambda: _zipped(b'{"key":1}\n') + b"\0" * 5_000_000,
    "only its magic": lambda: b"\x1f\x8b",
}


def cases() -> Iterator[Case]:
    """Yield all cases of tables and archives."""
    for name, make in _PARQUET.items():
        yield Case(f"parquet: {name}", make, ".parquet", _RECIPE)
    for name, make in _SEPARATED.items():
        yield Case(f"csv: {name}", make, ".csv", _JOIN)
    for name, make in _GZIP.items():
        yield Case(f"gzip: {name}", make, ".jsonl.gz")
    yield Case("gzip: a bomb of a table", lambda: _zipped(b"a\n" + b"x\n" * 50_000_000), ".csv.gz", _RECIPE)
