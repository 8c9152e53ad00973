"""Request lines of a chosen length: a few texts, a number in front, so that making them costs next to nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

MB = 1_000_000
TEXTS = 16
_WORDS = (
    "The order arrived late and the box was open.\nPlease refund the amount or send it again. ",
    'I wrote "twice" to support; nobody answered for a week. ',
    "Die Lieferung kam zu spät, bitte um Rückerstattung. ",
    "Classify this ticket as billing, delivery, returns or praise, then give one reason in a short sentence. ",
)


def line(number: int, size: int) -> bytes:
    """Return request line `number`, exactly `size` bytes without its newline."""
    head, tail = _around(number % TEXTS, size)
    return b"%b%08d%b" % (head, number, tail)


def upload(size: int, line_bytes: int) -> Iterator[bytes]:
    """Yield an upload of about `size` bytes in chunks of about 1 MB."""
    return lines(max(size // (line_bytes + 1), 1), line_bytes)


def lines(count: int, line_bytes: int) -> Iterator[bytes]:
    """Yield `count` lines in chunks of about 1 MB."""
    around = [_around(number, line_bytes) for number in range(TEXTS)]
    numbers = iter(range(1, count + 1))
    while some := list(itertools.islice(numbers, MB // line_bytes + 1)):
        yield b"".join([b"%b%08d%b\n" % (around[n % TEXTS][0], n, around[n % TEXTS][1]) for n in some])


def _around(text: int, size: int) -> tuple[bytes, bytes]:
    """Return what stands before and after the number in a line with one of the texts."""
    mark = "00000000"
    config = {"temperature": 0, "maxOutputTokens": 256}
    words = "".join(_WORDS[(text + n) % len(_WORDS)] for n in range(len(_WORDS))) * (size // 250 + 1)
    low, high = 1, len(words)
    while True:
        middle = (low + high + 1) // 2
        contents = [{"role": "user", "parts": [{"text": words[:middle]}]}]
        entry = {"key": mark, "request": {"contents": contents, "generationConfig": config}}
        found = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode()
        if low == high:
            break
        low, high = (middle, high) if len(found) <= size else (low, middle - 1)
    if len(found) > size:
        raise ValueError("a request needs more bytes than that")
    padded = found.replace(b'"}]}]', b"." * (size - len(found)) + b'"}]}]', 1)
    head, _, tail = padded.partition(mark.encode())
    return head, tail
