"""Ids on the wire: made and read back, told from everybody else's, the same for the same request alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core.wire import id_bytes, line_id, line_of, wire_of

STACK = {"stack": "abcdef", "shard": "0" * 32 + "-00000"}
REQUEST = {"checksum": "AAAAAA==", "recipe": "r", "provider": "gemini", "model": "m"}
WIRE = wire_of(**STACK, **REQUEST)


@given(st.integers(1, 36**11))
def test_an_id_is_read_back_and_as_long_as_was_said(line: int) -> None:
    made = line_id(WIRE.encode(), line)
    assert line_of(WIRE, made.decode()) == line
    assert len(made) == id_bytes(line)


@pytest.mark.parametrize("line", [1, 9, 10, 35, 36, 1295, 1296, 46655, 46656, 20_000_000])
def test_an_id_is_base_36(line: int) -> None:
    written = line_id(WIRE.encode(), line).decode().removeprefix(f"{WIRE}-")
    assert int(written, 36) == line
    assert not written.startswith("0")


FOREIGN = ("", "17", WIRE, f"x{WIRE}-1", f"{'a' * 12}-1")
ENDINGS = ("", "0", "01", "1 ", "1_0", "A", "+1", "1" * 13, "\u0661", "1\n")


@pytest.mark.parametrize("id", [*FOREIGN, *(f"{WIRE}-{ending}" for ending in ENDINGS)])
def test_an_id_of_another_form_or_wire_stands_for_no_line(id: str) -> None:
    assert line_of(WIRE, id) == 0


@pytest.mark.parametrize("name", [*STACK, *REQUEST])
def test_a_wire_is_of_one_request(name: str) -> None:
    assert wire_of(**STACK, **REQUEST) == WIRE
    assert wire_of(**(STACK | REQUEST | {name: "another"})) != WIRE


@given(st.text(), st.text())
def test_a_wire_is_in_every_providers_alphabet(stack: str, recipe: str) -> None:
    wire = wire_of(**(STACK | REQUEST | {"stack": repr(stack), "recipe": repr(recipe)}))
    assert len(wire) == 12
    assert set(wire) <= set("abcdefghijklmnopqrstuvwxyz234567")
