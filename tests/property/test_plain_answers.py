"""Many answers at once or one by one: the same rows, the same tokens, the same lines that stay open."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop.core.money.usage import compact
from batchdrop.core.result.join import InputLine, Windowed
from batchdrop.core.result.order import OutOfWindowError
from batchdrop.core.result.outcome import missing
from batchdrop.core.result.plain import Plain, Run
from batchdrop.core.result.result import Result
from batchdrop.core.result.row import error_row, plain_rows, result_row
from batchdrop.core.result.tally import Tally
from batchdrop.core.wire import line_id, line_ids, line_of
from batchdrop.dialects.gemini import language
from batchdrop.dialects.gemini.answer import answer
from batchdrop.dialects.gemini.plain_answers import plain
from batchdrop.dialects.gemini.usage import add_usage
from batchdrop.providers.gemini.envelope import GeminiEnvelope, bodies
from batchdrop.steps.write.answered import InRuns, OneByOne, Pair
from batchdrop.steps.write.results import Incoming

Json = dict[str, Any]
WIRE = "abcdefghijkl"
SCHEMA = b'{"type":"OBJECT","properties":{"a":{"type":"INTEGER"}},"required":["a"]}'
NOTHING = missing("NO_ANSWER", "None came.")
MOST_TEXT = st.sampled_from(
    ["hello", "", "Größe é 😀", 'say "no"\\', '{"a":1}', '{"a":"b"}', "[1,2", "line\nline", "u0022", "\u2028"]
)


def details(*counts: int) -> list[Json]:
    return [{"modality": "TEXT", "tokenCount": count} for count in counts]


USAGES = st.sampled_from(
    [
        {"promptTokenCount": 8, "candidatesTokenCount": 3, "totalTokenCount": 11, "promptTokensDetails": details(8)},
        {"totalTokenCount": 848, "thoughtsTokenCount": 829, "candidatesTokenCount": 11, "promptTokenCount": 8},
        {"promptTokenCount": 200_001, "candidatesTokenCount": 1},
        {"promptTokenCount": 8, "promptTokensDetails": details(9)},
        {"promptTokenCount": 8, "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 258}]},
        {"promptTokenCount": 8, "candidatesTokensDetails": details(1, 2)},
        {"promptTokenCount": "8"},
        {"promptTokenCount": 8, "cachedContentTokenCount": 4},
        {"promptTokenCount": -1},
        {"promptTokenCount": 8, "somethingNew": {"a": 1.5}},
        {"promptTokenCount": 0, "candidatesTokenCount": 2},
        {},
        None,
        3,
    ]
)
MORE: list[Json] = [{}, {}, {"avgLogprobs": -0.25}, {"index": 1}, {"safetyRatings": []}]
"""What may stand in a candidate beside the rest."""
PARTS = st.one_of(
    MOST_TEXT.map(lambda text: [{"text": text}]),
    MOST_TEXT.map(lambda text: [{"text": text}]),
    MOST_TEXT.map(lambda text: [{"text": text, "thoughtSignature": "AbC="}]),
    MOST_TEXT.map(lambda text: [{"text": "so", "thought": True}, {"text": text}]),
    MOST_TEXT.map(lambda text: [{"text": text}, {"text": "more"}]),
    st.sampled_from(
        [
            [],
            [{"text": 3}],
            [{"text": None}],
            [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
            [{"functionCall": {"name": "f", "args": {}}}],
        ]
    ),
)


@st.composite
def responses(draw: st.DrawFn) -> Json:
    """A response of any kind: mostly a whole answer of one text."""
    reason = draw(st.sampled_from(["STOP", "STOP", "STOP", "MAX_TOKENS", "SAFETY", "OTHER", None]))
    candidate: Json = {"content": {"parts": draw(PARTS), "role": "model"}, "finishReason": reason, "index": 0}
    candidate |= draw(st.sampled_from(MORE))
    response: Json = {
        "candidates": [candidate] * draw(st.sampled_from([1, 1, 1, 0, 2])),
        "usageMetadata": draw(USAGES),
        "modelVersion": draw(st.sampled_from(["gemini-2.5-flash", 'é"', None])),
        "responseId": "6VFkaIDw",
    }
    response |= draw(st.sampled_from([{}, {}, {"promptFeedback": {"blockReason": "SAFETY"}}, {"createTime": "now"}]))
    names = draw(st.permutations(list(response)))
    dropped = draw(st.sampled_from(["", "", "", "usageMetadata", "modelVersion", "responseId", "candidates"]))
    return {name: response[name] for name in names if name != dropped}


USUAL = (
    b'{"candidates":[{"content":{"parts":[{"text":"hello"}],"role":"model"},"finishReason":"STOP","index":0,'
    b'"avgLogprobs":-0.25}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":3,"promptTokensDetails":'
    b'[{"modality":"TEXT","tokenCount":8}]},"modelVersion":"gemini","responseId":"6V"}'
)
SPELT: list[tuple[bytes, bytes]] = [
    (b'"text":', b'"text":"twice","text":'),
    (b'"index":0', b'"index":0,"index":0'),
    (b'"index":0', b'"index":1e9,"index":0'),
    (b'"index":0', b'"index":1'),
    (b'"promptTokenCount":8', b'"promptTokenCount":10,"promptTokenCount":8'),
    (b'"promptTokenCount":8', b'"promptTokenCount": 8e0'),
    (b'"promptTokenCount":8', b'"promptTokenCount":7'),
    (b'"promptTokenCount":8', b'"promptTokenCount":200001'),
    (b'"candidatesTokenCount":3', b'"candidatesTokenCount":1e21'),
    (
        b'"candidatesTokenCount":3',
        b'"totalTokenCount":7,"candidatesTokensDetails":[{"modality":"TEXT","tokenCount":7}]',
    ),
    (b'"modality":"TEXT"', b'"modality":"AUDIO"'),
    (b',"avgLogprobs":-0.25', b""),
    (b"-0.25", b"1e999"),
    (b'"index":0,"avgLogprobs":-0.25', b'"index":0,"index":0,"avgLogprobs":1E11'),
    (b',"avgLogprobs":-0.25', b',"finishReason":"STOP"'),
    (b'"finishReason":"STOP"', b'"finishReason":"STOP","finishReason":"ST\\u0022OP","finishReason":"STOP"'),
    (b'"role":"model"', b'"role":"a","role":"\\u0022\\u0022\\u0022\\u0022"'),
    (b'"role":"model"', b'"role":null'),
    (b'"hello"', b'"hello","thought":true'),
    (b'"hello"', b'""'),
    (b'"hello"', b"5"),
    (b'"hello"', b'{"a":1,"a":1}'),
    (b"hello", b"\xff"),
    (b"hello", b"\xed\xa0\x80"),
    (b"hello", b"\\ud800"),
    (b"hello", b"\\u0022\\u003c"),
    (b'"gemini"', b'"\xff"'),
    (b'"6V"', b'"\xc3"'),
    (b"STOP", b"MAX_TOKENS"),
    (b'"}', b'"}}'),
    (b",", b", "),
]
"""Spellings of a usual answer: some of them only one by one, some not at all."""


def spoilt(raw: bytes, place: int, how: int) -> bytes:
    """Spoil a result: at a place, or by one of the spellings."""
    place %= len(raw)
    ends = [b"", raw[:place], raw + b" ", raw + raw]
    bytes_ = [raw[:place] + other + raw[place + 1 :] for other in (b"\xff", b'"', b"")]
    spelt = [raw.replace(old, new, 1) for old, new in SPELT]
    return [*ends, *bytes_, *spelt, raw.replace(b'"response"', b'"error":{"code":8},"response"')][how]


SPOILERS = len(SPELT) + 8


@st.composite
def results(draw: st.DrawFn, number: int) -> bytes:
    """The result of a line, spoilt now and then."""
    id = line_id(WIRE.encode(), number).decode()
    kind = draw(st.sampled_from(["plain"] * 12 + ["error", "nothing", "nobody's", "other wire"]))
    if kind == "error":
        return json.dumps({"key": id, "error": {"code": draw(st.integers(0, 16)), "message": "No."}}).encode()
    if kind == "nothing":
        return json.dumps({"key": id}).encode()
    id = {"nobody's": "x", "other wire": "b" + id[1:]}.get(kind, id)
    first, last = ("key", id), ("response", draw(responses()))
    entry = dict([first, last] if draw(st.booleans()) else [last, first])
    raw = json.dumps(entry, separators=(",", ":"), ensure_ascii=draw(st.booleans())).encode()
    if draw(st.integers(0, 3)):
        return raw
    return spoilt(raw, draw(st.integers(0, 10_000)), draw(st.integers(0, SPOILERS - 1)))


@st.composite
def uploads(draw: st.DrawFn) -> tuple[list[InputLine], list[bytes]]:
    """Lines, some of which want JSON or carry a record, and their results: about in order, some missing or twice."""
    begin, count = draw(st.sampled_from([1, 30, 1290, 36**4 - 3])), draw(st.integers(1, 12))
    numbers = [begin + place for place in range(count) if place == 0 or draw(st.integers(0, 9))]
    wants = st.sampled_from([(False, b"")] * 3 + [(True, b""), (True, SCHEMA)])
    records = st.sampled_from([b"null", b"null", b'{"id":7}'])
    lines = [InputLine(number, b'"k%d"' % number, *draw(wants), draw(records)) for number in numbers]
    order = draw(st.sampled_from(["as asked"] * 4 + ["any"]))
    told = numbers if order == "as asked" else draw(st.permutations(numbers))
    copies = st.sampled_from([1] * 12 + [0, 2])
    return lines, [draw(results(number)) for number in told for _ in range(draw(copies))]


def read(raw: bytes) -> tuple[int, Result]:
    opened = GeminiEnvelope().read(raw)
    return (0, Result()) if opened is None else (line_of(WIRE, opened[0]), opened[1])


def read_plain(raws: Sequence[bytes], lines: Sequence[InputLine]) -> list[Plain | None]:
    ids = line_ids(WIRE.encode(), [line.number for line in lines])
    return plain(bodies(raws, ids), lines)


def cut(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    return (list(items[begin : begin + size]) for begin in range(0, len(items), size))


def written(answered: Iterator[Pair | Run]) -> Any:
    """Return what a segment would hold: rows, outcomes and tokens."""
    tally, rows = Tally(add_usage), list[bytes]()
    for found in answered:
        if isinstance(found, Run):
            tally.add_plain(found.answers)
            rows += plain_rows(found, 0)
        else:
            line, judged = found
            tally.add(judged)
            make = result_row(judged, line, 0, b'"m"') if judged.outcome.is_result else error_row(judged, line, 0)
            rows.append(make)
    return rows, tally.outcomes, compact(tally.usage), compact(tally.failed)


def outcome(lines: Sequence[InputLine], raws: Sequence[bytes], sizes: tuple[int, int], *, at_once: bool) -> Any:
    incoming = Incoming(cut(raws, sizes[0]), read)
    windowed = Windowed(incoming, answer, NOTHING, 2_000, 0)
    answers = InRuns(incoming, windowed, read_plain) if at_once else OneByOne(windowed)
    try:
        return written(answers.answered(cut(lines, sizes[1]))), answers.finish()
    except OutOfWindowError:
        return "sorted"


@given(uploads(), st.tuples(st.integers(1, 15), st.integers(1, 15)))
def test_answers_read_at_once_make_the_rows_and_sums_of_answers_read_one_by_one(
    upload: tuple[list[InputLine], list[bytes]], sizes: tuple[int, int]
) -> None:
    lines, raws = upload
    assert outcome(lines, raws, sizes, at_once=True) == outcome(lines, raws, sizes, at_once=False)


@pytest.mark.parametrize(("old", "new"), SPELT)
def test_every_spelling_of_an_answer_is_read_as_it_is_one_by_one(old: bytes, new: bytes) -> None:
    body = USUAL.replace(old, new, 1)
    assert body != USUAL
    lines = [InputLine(number, b'"k"', wants_json=False) for number in (1, 2, 3)]
    told = [USUAL, body, USUAL]
    raws = [b'{"response":%b,"key":"%b-%d"}' % (body, WIRE.encode(), n) for n, body in enumerate(told, 1)]
    assert outcome(lines, raws, (3, 3), at_once=True) == outcome(lines, raws, (3, 3), at_once=False)


def test_usual_answers_are_plain_in_whatever_order_their_fields_stand() -> None:
    usage = b'{"totalTokenCount":848,"thoughtsTokenCount":829,"candidatesTokenCount":11,"promptTokenCount":8}'
    candidate = b'{"content":{"role":"model","parts":[{"text":"AI learns ..."}]},"finishReason":"STOP","index":0}'
    body = b'{"responseId":"6V","usageMetadata":%b,"candidates":[%b],"modelVersion":"gemini"}' % (usage, candidate)
    line, id = InputLine(7, b'"k"', wants_json=False), line_id(WIRE.encode(), 7)
    for raw in (b'{"response":%b,"key":"%b"}' % (body, id), b'{"key":"%b","response":%b}' % (id, body)):
        [found] = read_plain([raw], [line])
        assert found is not None
        assert (found.prompt_tokens, found.output_tokens, found.thought_tokens) == (8, 11, 829)
        assert (found.usage, found.response) == (usage, body)


def test_runs_end_where_an_answer_is_not_plain_and_go_on_behind_it() -> None:
    candidate = b'{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}'
    whole = b'{"candidates":[%b],"usageMetadata":{},"modelVersion":"m"}' % candidate
    lines = [InputLine(number, b"null", wants_json=False) for number in range(1, 9)]
    raws = [b'{"response":%b,"key":"%b"}' % (whole, line_id(WIRE.encode(), line.number)) for line in lines]
    raws[3] = raws[3].replace(b"STOP", b"SAFETY")
    incoming = Incoming(cut(raws, 8), read)
    windowed = Windowed(incoming, answer, NOTHING, 2_000, 0)
    found = list(InRuns(incoming, windowed, read_plain).answered([lines]))
    assert Counter(len(each.lines) if isinstance(each, Run) else 1 for each in found) == {3: 1, 1: 1, 4: 1}
    assert language.plain_answers is not None
