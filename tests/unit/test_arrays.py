"""JSON arrays are cut into lines as a JSON reader would cut them, however they arrive."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core.errors import PermanentError
from batchdrop.core.upload.arrays import begins, complete, members

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(st.lists(VALUES, min_size=1, max_size=8), st.integers(1, 40), st.sampled_from([None, 2]), st.booleans())
def test_members_are_those_of_a_json_reader(values: list[Any], size: int, indent: int | None, bom: bool) -> None:
    data = (b"\xef\xbb\xbf" if bom else b"") + json.dumps(values, indent=indent, ensure_ascii=False).encode() + b"\n"
    found = list(members(cut(data, size), max_bytes=10_000))
    assert [json.loads(member) for member, _ in found] == values
    assert not any(b"\n" in member for member, _ in found)


@given(st.lists(VALUES, min_size=1, max_size=8), st.integers(1, 40), st.sampled_from([None, 2]))
def test_reading_goes_on_behind_any_member(values: list[Any], size: int, indent: int | None) -> None:
    data = json.dumps(values, indent=indent).encode()
    whole = list(members([data], max_bytes=10_000))
    for number, (_, end) in enumerate(whole, 1):
        rest = members(cut(data[end:], size), max_bytes=10_000, offset=end)
        assert [member for member, _ in rest] == [member for member, _ in whole[number:]]


@pytest.mark.parametrize("data", [b"[1, 2", b"[1, 2,", b"[", b'["a', b"[1] 2", b"[1][2]", b"x[1]", b"", b'[{"a": "]"'])
def test_what_is_no_whole_array_is_named(data: bytes) -> None:
    for size in (1, 3, 100):
        with pytest.raises(PermanentError) as caught:
            list(members(cut(data, size), max_bytes=100))
        assert caught.value.code == "ARRAY_INVALID"


def test_a_member_that_is_too_long_is_too_long_as_a_line_and_not_kept() -> None:
    data = b'["' + b"x" * 5000 + b'", 1]'
    [(first, _), (second, _)] = members(cut(data, 7), max_bytes=100)
    assert (len(first), second) == (101, b"1")


def test_a_newline_in_a_string_stays_forbidden() -> None:
    [(member, _)] = members([b'[{"a":\n"b\nc"}]'], max_bytes=100)
    assert b"\n" not in member
    with pytest.raises(json.JSONDecodeError):
        json.loads(member)


@given(st.binary(max_size=60))
def test_no_bytes_make_it_fail_otherwise(data: bytes) -> None:
    with suppress(PermanentError):
        list(members([b"[" + data], max_bytes=100))


def test_the_beginning_of_an_array_shows_its_whole_members() -> None:
    assert begins(b"\xef\xbb\xbf \n[1")
    assert not begins(b'{"a": [1]}')
    assert complete(b'[{"a": 1}, {"b": 2}, {"c"') == [b'{"a": 1}', b'{"b": 2}']
