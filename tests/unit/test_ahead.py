"""Reading ahead changes nothing but the time."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator

import pytest

from batchdrop.core.ahead import ahead


def test_chunks_come_in_order_and_whole() -> None:
    chunks = [b"%d" % number for number in range(100)]
    assert list(ahead(iter(chunks))) == chunks
    assert list(ahead(iter([]))) == []


def test_an_error_comes_where_it_happened() -> None:
    def broken() -> Iterator[bytes]:
        yield b"1"
        yield b"2"
        raise OSError("cut")

    chunks = ahead(broken())
    assert [next(chunks), next(chunks)] == [b"1", b"2"]
    with pytest.raises(OSError, match="cut"):
        next(chunks)


def test_no_more_chunks_are_read_than_may_wait() -> None:
    read = 0
    third = threading.Event()

    def counted() -> Iterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1
            if read == 3:
                third.set()
            yield b"x"

    chunks = ahead(counted(), depth=2)
    next(chunks)
    assert third.wait(10), "the thread reads on while the caller works"
    assert read <= 5


def test_a_caller_that_stops_early_ends_the_thread_and_closes_what_it_read() -> None:
    closed = threading.Event()

    def endless() -> Generator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    source = endless()
    chunks = ahead(source)
    next(chunks)
    before = threading.active_count()
    chunks.close()
    assert threading.active_count() < before
    source.close()
    assert closed.is_set()
