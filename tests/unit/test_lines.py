"""Lines: cut at b"\\n" only, each exactly once, wherever the chunks end."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core.limits import MIB
from batchdrop.core.upload.lines import each_line, gathered, lines_of_head, split_blocks, split_lines, whole_lines

MOST = 1 << 20
streams = st.binary(max_size=200) | st.lists(st.sampled_from([b"\n", b"ab", b"\r\n", b"\xef\xbb\xbf"])).map(b"".join)


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[at : at + size] for at in range(0, len(stream), size)]


def lines(*chunks: bytes, most: int = MOST) -> list[bytes | None]:
    return [line for line, _ in split_lines(chunks, max_line_bytes=most)]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((), []),
        ((b"",), []),
        ((b"\n",), [b""]),
        ((b"a\nb\n",), [b"a", b"b"]),
        ((b"a\nb",), [b"a", b"b"]),
        ((b"a\r\n\r\nb\r",), [b"a\r", b"\r", b"b\r"]),
        ((b"a", b"", b"b\n\n", b"\nc"), [b"ab", b"", b"", b"c"]),
        ((b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n",), [b"a", b"\xef\xbb\xbfb"]),
        ((b"\xef", b"\xbb", b"\xbfa"), [b"a"]),
    ],
)
def test_only_a_newline_ends_a_line(chunks: tuple[bytes, ...], expected: list[bytes]) -> None:
    assert lines(*chunks) == expected


def test_line_separators_of_unicode_stay_inside_a_line() -> None:
    text = '{"a":"\u2028\u2029\u0085\x0b\x0c"}\r'.encode()
    assert lines(text + b"\n" + text) == [text, text]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_line_over_the_limit_is_passed_over_and_its_neighbours_are_not(size: int) -> None:
    stream = b"1234\n12345\n123456789\n\n1\n12345"
    found = list(split_lines(cut(stream, size), max_line_bytes=4))
    assert found == [(b"1234", 5), (None, 6), (None, 10), (b"", 1), (b"1", 2), (None, 5)]


@given(streams, st.integers(1, 30), st.integers(1, 40))
def test_no_byte_is_lost_wherever_chunks_end(stream: bytes, size: int, most: int) -> None:
    whole = stream.split(b"\n")
    if not whole[-1]:
        whole.pop()
    found = list(split_lines(cut(stream, size), max_line_bytes=most))
    fits = [line if len(line) <= most else None for line in whole]
    if fits and fits[0]:
        fits[0] = fits[0].removeprefix(b"\xef\xbb\xbf")
    assert [line for line, _ in found] == fits
    assert sum(size for _, size in found) == len(stream)


@given(streams, st.integers(1, 30), st.integers(1, 40))
def test_reading_continues_at_any_block(stream: bytes, size: int, most: int) -> None:
    blocks = list(split_blocks(cut(stream, size), max_line_bytes=most))
    assert [block.start for block in blocks] == [0, *(block.end for block in blocks)][: len(blocks)]
    for at, block in enumerate(blocks):
        rest = split_lines(cut(stream[block.start :], 5), max_line_bytes=most, number=block.number, start=block.start)
        assert [line for line, _ in rest] == [line for later in blocks[at:] for line in later.lines]


def test_a_line_without_end_takes_no_memory() -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield bytes(1 << 20)
        yield b"\nshort"

    tracemalloc.start()
    found = list(split_lines(endless(), max_line_bytes=4 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [(None, (200 << 20) + 1), (b"short", 5)]
    assert peak < 16 << 20


@given(streams, st.integers(1, 30))
def test_many_lines_at_a_time_end_where_a_line_ends(stream: bytes, size: int) -> None:
    found = list(whole_lines(cut(stream, size)))
    assert b"".join(found) == stream
    assert all(lines.endswith(b"\n") for lines in found[:-1])
    assert all(found)


@given(streams, st.integers(1, 30))
def test_each_line_of_our_own_streams_is_given_once(stream: bytes, size: int) -> None:
    expected = stream.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if stream.endswith(b"\n") or not stream:
        expected.pop()
    assert list(each_line(cut(stream, size))) == expected


def test_a_byte_order_mark_is_data_behind_the_first_line() -> None:
    assert list(each_line([b"\xef\xbb\xbfa\n"], number=2)) == [b"\xef\xbb\xbfa"]


@pytest.mark.parametrize("split", [each_line, whole_lines])
def test_a_long_line_takes_time_in_proportion_to_its_bytes(split: Callable[[Iterable[bytes]], Iterator[bytes]]) -> None:
    def seconds(mebibytes: int) -> float:
        chunks = [bytes(MIB)] * (mebibytes - 1) + [bytes(MIB - 1) + b"\n"]
        begun = time.process_time()
        assert sum(map(len, split(chunks))) in (mebibytes * MIB, mebibytes * MIB - 1)
        return time.process_time() - begun

    short = min(seconds(16) for _ in range(3))
    assert min(seconds(64) for _ in range(3)) < 8 * short + 0.05, (
        "four times the bytes: four times the time, not sixteen"
    )


def test_gathered_lines_are_given_before_the_next_one_is_asked_for() -> None:
    asked: list[int] = []

    def numbered() -> Iterator[bytes]:
        for number in range(5):
            asked.append(number)
            yield b"x" * (MIB // 2)

    pieces = gathered(numbered())
    assert len(next(pieces)) == MIB
    assert asked == [0, 1]
    assert [len(piece) for piece in pieces] == [MIB, MIB // 2]
    assert list(gathered([b"a", b"b", b"c"], 2)) == [b"ab", b"c"]
    assert list(gathered([])) == []


def test_the_last_line_of_a_head_counts_only_when_it_stands_alone() -> None:
    assert lines_of_head(b"a\nb\nhal") == [b"a", b"b"]
    assert lines_of_head(b"hal") == [b"hal"]
