"""Tables whose columns hold lists: embeddings, lists in lists, lists of structs; every row, in constant memory."""

from __future__ import annotations

import importlib
import io
import itertools
import random
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchdrop.core.errors import PermanentError
from batchdrop.core.upload.tables import Place, Record, read_parquet
from batchdrop.core.upload.tables.parquet_bounds import MAX_LISTED, measure
from batchdrop.core.upload.tables.parquet_levels import RowLengths

pa: Any = importlib.import_module("pyarrow")
pq: Any = importlib.import_module("pyarrow.parquet")
ROOT = Path(__file__).parents[2]
ROWS, DIMENSIONS = 50_000, 768
EMBEDDING_MIB = 96
"""What reading may add to an interpreter that has imported all of it; the column alone has 146 MiB."""


def table_file(table: Any, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=1 << 20, **options)
    return file


def lists(lengths: Iterator[int] | list[int], inner: Any, *, start: int = 0) -> Any:
    """Return an array of lists of these lengths, filled from an array of values."""
    offsets = list(itertools.accumulate(lengths, initial=start))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), inner)


def numbers(count: int, kind: Any = None) -> Any:
    """Return small whole numbers whose bytes do not compress to nothing."""
    data = random.Random(1).randbytes(1 << 16)
    whole = (data * (count // len(data) + 1))[:count]
    return pa.Array.from_buffers(pa.int8(), count, [None, pa.py_buffer(whole)]).cast(kind or pa.int8())


def write_embeddings(path: Path) -> None:
    """Write a table as pandas does: one row group; the vector of row n begins with n."""
    chance = random.Random(7)
    noise = chance.randbytes(DIMENSIONS * 4 * 64)
    clean = bytes(byte & 0x3F if place % 4 == 3 else byte for place, byte in enumerate(noise))
    size = DIMENSIONS * 4
    data = bytearray()
    for number in range(ROWS):
        vector = clean[number % 64 * size :][: size - 4]
        data += struct.pack("<f", number) + vector
    flat = pa.Array.from_buffers(pa.float32(), ROWS * DIMENSIONS, [None, pa.py_buffer(data)])
    vectors = lists([DIMENSIONS] * ROWS, flat)
    pq.write_table(pa.table({"id": list(range(ROWS)), "vector": vectors}), path)


_READ = """
import importlib, sys
from batchdrop.core.upload.tables import read_parquet
importlib.import_module("pyarrow.parquet")
def peak():  # Linux's own mark: ru_maxrss would be the parent's, which wrote the table
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
before = peak()
rows = 0
with open(sys.argv[1], "rb") as file:
    for row in read_parquet(file):
        assert row.number == rows + 1
        assert row.fields["id"] == row.fields["vector"][0] == rows, row.number
        assert len(row.fields["vector"]) == 768
        rows += 1
print(rows, (peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_an_embedding_table_is_read_whole_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.parquet"
    write_embeddings(path)
    assert pq.ParquetFile(path).num_row_groups == 1
    command = [sys.executable, "-c", _READ, str(path)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT / "shared")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows, mebibytes = map(int, done.stdout.split())
    assert rows == ROWS
    assert mebibytes <= EMBEDDING_MIB


ROW_LENGTHS = [0, 1, 30, 300, 0, 7, 64, 5, 1_000]
MANY = 60_000
"""Rows of these lengths have 9.4 million values, more than the rows of a group that is read without a look at each."""


def many_lists(kind: str) -> Any:
    """Return rows of these lengths, in turn, none of the fifth."""
    lengths = list(itertools.islice(itertools.cycle(ROW_LENGTHS), MANY))
    flat = numbers(sum(lengths))
    if kind == "structs":
        flat = pa.StructArray.from_arrays([flat, flat], ["x", "y"])
    if kind == "nested":
        inner = [part for length in lengths for part in (length // 3, length - length // 3)]
        return lists([2] * MANY, lists(inner, flat))
    offsets: list[int | None] = list(itertools.accumulate(lengths, initial=0))
    offsets[4 : MANY : len(ROW_LENGTHS)] = [None] * len(range(4, MANY, len(ROW_LENGTHS)))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


@pytest.mark.parametrize("kind", ["plain", "nested", "structs"])
def test_lists_of_every_length_are_read(kind: str) -> None:
    table = pa.table({"n": list(range(MANY)), "a": many_lists(kind)})
    file = table_file(table)
    metadata = pq.ParquetFile(file).metadata
    assert metadata.num_row_groups == 1
    assert metadata.row_group(0).column(1).num_values > MAX_LISTED
    for start, rows in ((0, 1_000), (MANY // 2, 1_000), (MANY - 100, 100)):
        read = list(itertools.islice(read_parquet(file, Place(number=start + 1)), 1_000))
        expected = table.slice(start, rows).to_pylist()
        assert read == [Record(start + place, fields) for place, fields in enumerate(expected, 1)]


def test_reading_goes_on_in_the_middle_of_an_embedding_table() -> None:
    flat = numbers(20_000 * 512)
    table = pa.table({"n": list(range(20_000)), "a": lists([512] * 20_000, flat)})
    rest = list(read_parquet(table_file(table), Place(number=19_001)))
    assert [row.number for row in rest] == list(range(19_001, 20_001))
    assert isinstance(rest[-1], Record)
    assert rest[-1].fields == {"n": 19_999, "a": table["a"][19_999].as_py()}


def test_a_group_of_few_values_is_read_without_a_look_at_levels() -> None:
    file = table_file(pa.table({"a": lists([100] * 1_000, numbers(100_000))}))
    bounds = measure(file, pq.ParquetFile(file).metadata, 0, len(file.getvalue()), 1 << 40)
    assert (bounds.listed, bounds.longest) == (100_000, 0)


def test_one_row_of_too_many_values_is_named() -> None:
    lengths = [10] * 500 + [MAX_LISTED + 1] + [10] * 500
    table = pa.table({"n": list(range(1_001)), "a": lists(lengths, numbers(sum(lengths)))})
    with pytest.raises(PermanentError) as error:
        list(read_parquet(table_file(table)))
    assert error.value.code == "TABLE_INVALID"
    assert "Row 501 " in str(error.value)
    assert "a.list.element" in str(error.value)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_the_longest_row_is_told_whatever_the_codec(codec: str, version: str) -> None:
    file = table_file(pa.table({"a": many_lists("plain")}), compression=codec, data_page_version=version)
    metadata = pq.ParquetFile(file).metadata
    assert measure(file, metadata, 0, len(file.getvalue()), 1 << 40).longest == max(ROW_LENGTHS)


@pytest.mark.parametrize("kind", ["plain", "nested", "structs"])
def test_the_longest_row_is_told_whatever_the_lists_hold(kind: str) -> None:
    file = table_file(pa.table({"a": many_lists(kind)}))
    metadata = pq.ParquetFile(file).metadata
    size = len(file.getvalue())
    times = {"plain": 1, "nested": 2, "structs": 2}[kind]  # in two lists, in two columns
    assert measure(file, metadata, 0, size, 1 << 40).longest == times * max(ROW_LENGTHS)


# --------------------------------------------------------------------------------------------- levels themselves
def added(levels: bytes | None, values: int, *, width: int = 1, steps: int = 1_000) -> RowLengths:
    lengths = RowLengths((1 << width) - 1, steps)
    lengths.add(levels, values)
    return lengths


def packed(levels: list[int], width: int) -> bytes:
    """Return a bit-packed run."""
    padded = levels + [0] * (-len(levels) % 8)
    number = sum(level << place * width for place, level in enumerate(padded))
    return bytes([len(padded) // 8 << 1 | 1]) + number.to_bytes(len(padded) * width // 8, "little")


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
def test_bit_packed_levels_of_every_width_are_read(width: int) -> None:
    levels = [0, 0, 1, 1, 1, 0, (1 << width) - 1, 0, 1, 1]
    lengths = added(packed(levels, width), len(levels), width=width)
    assert (lengths.longest, lengths.row) == (4, 2)


def test_a_row_goes_on_over_runs_and_pages() -> None:
    lengths = RowLengths(1, 1_000)
    lengths.add(b"\x06\x00" + b"\x14\x01", 13)  # three rows begin, ten more values
    lengths.add(b"\x08\x01" + b"\x02\x00", 5)  # four more, then a row of one
    assert (lengths.longest, lengths.row) == (15, 3)


@pytest.mark.parametrize("levels", [None, b"", b"\x80", b"\x00\x00", b"\x02", b"\x02\x00", b"\xff\xff\xff\xff\xff\xff"])
def test_values_whose_levels_cannot_be_read_are_one_row(levels: bytes | None) -> None:
    lengths = added(levels, 1_000)
    assert lengths.longest == 1_000
    assert lengths.row == 0


def test_runs_beyond_the_steps_are_one_row_until_the_next_page() -> None:
    lengths = RowLengths(1, 0)
    for _ in range(3):
        lengths.add(b"\x02\x00" * 5_000, 5_000)
    assert 4_900 < lengths.longest <= 5_000
