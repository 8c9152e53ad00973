"""The fast path takes a part of what the slow path takes and never more, whatever is done to a line."""

from __future__ import annotations

import json
import random

import pytest

from batchdrop.dialects.gemini import fast
from batchdrop.dialects.gemini.check import _check_slowly, _field_is_valid  # pyright: ignore[reportPrivateUsage]
from batchdrop.dialects.line import Accepted
from tests.bench.data import line

LINES = [
    line(3, 300),
    rb'{"key": "a", "request": {"contents": [{"role": "user", "parts": [{"text": "h\u00e9 \" x"}]}]}}',
    b'{"key": 5, "request": {"contents": [{"parts": [{"text": "a"}]}], "generationConfig": {"temperature": 0.5}}}',
    b'{"key":7,"request":{"systemInstruction":{"parts":[{"text":"be"}]},"contents":[{"parts":[{"text":"x"}]}]}}',
    b'{"key":8,"request":{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}]}}',
    b'{"request":{"systemInstruction":{"parts":[{"text":"b"}]},"contents":[{"parts":[{"inlineData":{"data":"="}}]}]}}',
    b'{"key":"e","request":{"content":{"parts":[{"text":"x"}]},"outputDimensionality":128}}',
]
PIECES = [
    *(b'"text":"a",', b'"key":1,', b'"key":"a",', b'"role":"user",', b'"parts":[],', b'"contents":[],', b"null"),
    *(b"1e5", b"1.0", b'"', b"\\u0022", b"\\", b" ", b"{", b"}", b"[", b"]", b",", b":", b"\xff", b"\xc3\xa9"),
    *(b"\xed\xa0\x80", b"\\ud800", b'"generationConfig":{},', b'"generationConfig":null,', b"-0", b"0022", b"NaN"),
    *(b'"temperature":0,', b"1e999"),
]


@pytest.mark.parametrize("seed", range(4))
def test_what_the_fast_path_accepts_the_slow_path_accepts_with_the_same_key(seed: int) -> None:
    dice = random.Random(seed)
    accepted = 0
    for _ in range(10_000):
        raw = _spoiled(dice)
        found = fast.check(raw, _field_is_valid)
        if found is not None:
            accepted += 1
            slow = _check_slowly(raw, "")
            assert isinstance(slow, Accepted), raw
            assert (slow.kind, json.loads(slow.key)) == (found.kind, json.loads(found.key)), raw
    assert accepted > 200


def test_a_swallowed_name_is_found_whatever_else_shortens_the_line() -> None:
    twice = b'{"key":1,"key":2,"request":{"contents":[{"parts":[{"text":"a"}]}]}}'
    hidden = b'{"key":1,"request":{"contents":[{"parts":[{"text":"a","text":"\\u0022\\u0022\\u0022\\u0022"}]}]}}'
    assert fast.check(twice, _field_is_valid) is None
    assert fast.check(hidden, _field_is_valid) is None


def _spoiled(dice: random.Random) -> bytes:
    raw = bytearray(dice.choice(LINES))
    for _ in range(dice.randint(1, 3)):
        what, place = dice.random(), dice.randrange(len(raw) + 1)
        if what < 0.45:
            raw[place:place] = dice.choice(PIECES)
        elif what < 0.6:
            raw[place : place + dice.randint(1, 3)] = b""
        elif what < 0.8:
            begin = dice.randrange(len(raw) + 1)
            raw[place:place] = raw[begin : begin + dice.randint(1, 30)]
        else:
            raw[place : place + dice.randint(1, 6)] = dice.choice(PIECES)
    return bytes(raw)
