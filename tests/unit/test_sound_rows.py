"""What the provider wrote goes out as it wrote it only if every reader of JSON can read it."""

from __future__ import annotations

import json

import pytest

from batchdrop.core.sound_json import is_sound
from batchdrop.providers.gemini.envelope import GeminiEnvelope


def result(inner: bytes) -> bytes:
    return b'{"key":"7","response":{"candidates":[{"content":{"parts":[{"text":"x"}]}}],"more":%b}}' % inner


@pytest.mark.parametrize(
    "inner",
    [
        b'"\xff"',
        b'{"\xed\xa0\x80":1}',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 5000,
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'[{"b":"\\""},{"a":1,"a":2}]',
        b'{"\\u0022":1,"\\"":2}',
        b'{"a":[' + b"0," * 3000 + b'0],"a":2}',
        b"[" + b"0," * 1_000_001 + b"0]",
    ],
)
def test_a_row_that_some_reader_cannot_read_counts_as_unreadable(inner: bytes) -> None:
    assert GeminiEnvelope().read(result(inner)) is None


@pytest.mark.parametrize(
    "inner",
    [
        b"null",
        '"\\u003cé\\ud83d\\ude00"'.encode(),
        b'"\\u0022a\\u0022:"',
        b'[{"a":1},{"a":1}]',
        b'{"a":"\\\\","b":"\\":","c":":"}',
        b"[" + b"0.125," * 3000 + b"1]",
        b'"' + b"A" * 100_000 + b'"',
        b"18446744073709551616",
    ],
)
def test_a_row_that_every_reader_can_read_is_taken(inner: bytes) -> None:
    raw = result(inner)
    found = GeminiEnvelope().read(raw)
    assert found is not None
    assert found[0] == "7"
    assert json.loads(bytes(found[1].body)) == json.loads(raw)["response"]
    assert is_sound(raw)
