"""A file's dialect is told from its first lines, broken ones among them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from batchdrop.core.problem import Code, Problem
from batchdrop.dialects.gemini import language as gemini
from batchdrop.dialects.known.detect import detect
from batchdrop.dialects.known.translate import key_of, translate
from batchdrop.dialects.line import LineForm, Translated
from tests.samples.dialects import lines, write_sample

OPENAI = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}}'


@pytest.mark.parametrize("dialect", list(LineForm))
def test_each_sample_is_recognised(dialect: LineForm) -> None:
    assert detect(lines(dialect, 500)) is dialect


@pytest.mark.parametrize("dialect", list(LineForm))
def test_broken_lines_at_the_top_do_not_hide_the_dialect(dialect: LineForm) -> None:
    broken = [b"", b"  ", b'{"key": ', b"[1]", b"\xff\xfe", b"null", b"{" * 3000]
    assert detect([*broken, *lines(dialect, 5)]) is dialect


@pytest.mark.parametrize("nothing", [[], [b""], [b"[]", b"1", b"\xff"], [b"{"]])
def test_a_file_without_an_object_has_no_dialect(nothing: list[bytes]) -> None:
    assert detect(nothing) is None


def test_most_lines_decide_and_the_earlier_one_on_a_tie() -> None:
    record = b'{"name":"a"}'
    assert detect([record, OPENAI, OPENAI]) is LineForm.OPENAI
    assert detect([record, OPENAI]) is LineForm.RECORDS
    assert detect([OPENAI, record]) is LineForm.OPENAI


def test_a_byte_order_mark_does_not_hide_the_first_line() -> None:
    assert detect([b"\xef\xbb\xbf" + OPENAI]) is LineForm.OPENAI


@pytest.mark.parametrize(
    "record",
    [
        b'{"content":"a text","id":1}',
        b'{"contents":"a text"}',
        b'{"request":"please call me","key":"k"}',
        b'{"body":"a mail","url":"https://a.example"}',
        b'{"params":"a=1","custom_id":"x"}',
        b'{"contents":["a","b"]}',
    ],
)
def test_a_record_with_a_telling_field_name_is_still_a_record(record: bytes) -> None:
    assert detect([record]) is LineForm.RECORDS


@pytest.mark.parametrize("dialect", list(LineForm))
@pytest.mark.parametrize("other", list(LineForm))
def test_a_line_of_another_dialect_is_a_problem(dialect: LineForm, other: LineForm) -> None:
    line = next(lines(other, 1))
    found = translate(gemini, dialect, line)
    if dialect is other:
        assert isinstance(found, Translated) or other is LineForm.RECORDS
        return
    assert isinstance(found, Problem)
    expected = {Code.MISSING_FIELD} if other is LineForm.RECORDS else {Code.DIALECT_MIXED}
    if dialect is LineForm.GEMINI_BARE and other is LineForm.RECORDS:
        expected = {Code.UNKNOWN_FIELD}
    assert found.code in expected
    assert found.advice()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", Code.NOT_JSON),
        (b"{", Code.NOT_JSON),
        (b"[]", Code.NOT_OBJECT),
        (b"\xff", Code.NOT_UTF8),
        (b'{"a":1,"a":2}', Code.DUPLICATE_NAME),
        (b'{"a":NaN}', Code.BAD_NUMBER),
        (b'{"a":1e999}', Code.BAD_NUMBER),
        (b'{"a":"\\ud800"}', Code.LONE_SURROGATE),
        (b'{"a":' * 101 + b"1" + b"}" * 101, Code.TOO_DEEP),
    ],
)
def test_the_hazards_of_json_have_their_own_codes(raw: bytes, code: Code) -> None:
    for dialect in LineForm:
        found = translate(gemini, dialect, raw)
        assert isinstance(found, Problem)
        assert found.code is code
        assert key_of(dialect, raw) == b"null"


@pytest.mark.parametrize("dialect", [LineForm.GEMINI, LineForm.GEMINI_BODY, LineForm.OPENAI, LineForm.ANTHROPIC])
def test_a_refused_line_keeps_its_key(dialect: LineForm) -> None:
    line = list(lines(dialect, 13))[12]
    assert isinstance(translate(gemini, dialect, line), Problem)
    assert key_of(dialect, line) == b'"ticket-13"'


@pytest.mark.parametrize("dialect", list(LineForm))
def test_a_sample_of_500_has_the_warnings_and_refusals_it_says(dialect: LineForm, tmp_path: Path) -> None:
    path = tmp_path / "sample.jsonl"
    sample = write_sample(dialect, path, 500)
    found = [translate(gemini, dialect, line) for line in path.read_bytes().splitlines()]
    assert len(found) == sample.lines == 500
    if dialect is LineForm.RECORDS:
        return
    refused = tuple(n for n, item in enumerate(found, 1) if isinstance(item, Problem))
    warned = tuple(n for n, item in enumerate(found, 1) if isinstance(item, Translated) and item.warnings)
    assert (refused, warned) == (sample.refused, sample.warned)
    assert len(refused) == 5


def test_requests_in_a_gemini_dialect_stay_as_they_are_written() -> None:
    request = {"contents": {"parts": {"text": "a"}}, "generation_config": {"max_output_tokens": "5"}}
    raw = msgspec.json.encode(request)
    expected = Translated(b'"k"', raw)
    assert translate(gemini, LineForm.GEMINI, b'{"key":"k","request":' + raw + b"}") == expected
    assert translate(gemini, LineForm.GEMINI_BARE, b'{"key":"k",' + raw[1:]) == expected
    body = b'{"custom_id":"k","method":"POST","url":"/v1beta/models/gemini-x:generateContent","body":' + raw + b"}"
    found = translate(gemini, LineForm.GEMINI_BODY, body)
    assert isinstance(found, Translated)
    assert found.request == raw
