"""Rows: one line of output for each request, the same bytes whenever and however often it is written.

    result  {line,key,outcome,text|json,finish_reason,usage,model,round,files,response}   answered, truncated
    error   {line,key,outcome,code,message,finish_reason,usage,round,response}            the other outcomes
    reject  {line,key,code,pointer,message,fix}                                           refused before sending

With `output: join` a row ends in `record`, the fields of its input record.
No time, no job id and no generation stands in a row. What the provider wrote as JSON stays as it wrote it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import RANK, Answer, Outcome
from batchdrop.core.result.plain import Run

_encode = msgspec.json.encode
_NULL: Final = b"null"
_RANKS: Final = {outcome.value: rank for outcome, rank in RANK.items()}


class RowHead(msgspec.Struct, frozen=True):
    """What merging needs of a row."""

    line: int
    outcome: str = ""
    round: int = 0


_decode_head = msgspec.json.Decoder(RowHead).decode


def result_row(answer: Answer, line: InputLine, round: int, model: bytes) -> bytes:
    """Return a result row. `model` is JSON; an answer that was asked for as JSON stands in it parsed."""
    name, value = b"text", answer.text or _NULL
    if (
        line.wants_json
        and answer.text is not None
        and answer.outcome is Outcome.ANSWERED
    ):
        name, value = b"json", _inner_json(answer.text)
    return (
        b'{"line":%d,"key":%b,"outcome":"%b","%b":%b,"finish_reason":%b,"usage":%b,"model":%b,'
        b'"round":%d,"files":%b,"response":%b%b}\n'
    ) % (
        line.number,
        line.key,
        answer.outcome.encode(),
        name,
        value,
        _string(answer.finish_reason),
        answer.usage or _NULL,
        _string(answer.model) if answer.model else model,
        round,
        answer.files,
        answer.response or _NULL,
        _joined(line),
    )


def plain_rows(run: Run, round: int) -> list[bytes]:
    """Return the result rows of plain answers: what `result_row` makes of each."""
    row = (
        b'{"line":%%d,"key":%%b,"outcome":"answered","%%b":%%b,"finish_reason":%%b,"usage":%%b,"model":%%b,'
        b'"round":%d,"files":[],"response":%%b%%b}\n'
    ) % round
    return [
        row
        % (
            line.number,
            line.key,
            b"json" if line.wants_json else b"text",
            _inner_json(answer.text) if line.wants_json else answer.text,
            answer.finish_reason,
            answer.usage,
            answer.model,
            answer.response,
            b"" if line.record == _NULL else _joined(line),
        )
        for line, answer in zip(run.lines, run.answers, strict=True)
    ]


def error_row(answer: Answer, line: InputLine, round: int) -> bytes:
    """Return an error row."""
    return (
        b'{"line":%d,"key":%b,"outcome":"%b","code":%b,"message":%b,"finish_reason":%b,"usage":%b,'
        b'"round":%d,"response":%b%b}\n'
    ) % (
        line.number,
        line.key,
        answer.outcome.encode(),
        _encode(answer.code),
        _encode(answer.message),
        _string(answer.finish_reason),
        answer.usage or _NULL,
        round,
        answer.response or _NULL,
        _joined(line),
    )


def rejection_row(
    line: int, key: bytes, code: str, pointer: str, message: str, fix: str
) -> bytes:
    """Return a rejection row. `key` is JSON."""
    return b'{"line":%d,"key":%b,"code":%b,"pointer":%b,"message":%b,"fix":%b}\n' % (
        line,
        key,
        _encode(code),
        _encode(pointer),
        _encode(message),
        _encode(fix),
    )


def head(row: bytes) -> RowHead:
    """Read a row's line, outcome and round."""
    return _decode_head(row)


def order(row: bytes) -> tuple[int, int, int]:
    """Return the sort key that puts the best row of a line first: line, outcome, then the later round."""
    row_head = _decode_head(row)
    return row_head.line, _RANKS[row_head.outcome], -row_head.round


def is_result(row_head: RowHead) -> bool:
    """True for a result row, false for an error row."""
    return Outcome(row_head.outcome).is_result


def _joined(line: InputLine) -> bytes:
    return b"" if line.record == _NULL else b',"record":' + line.record


def _string(value: str | None) -> bytes:
    return _NULL if value is None else _encode(value)


def _inner_json(text: bytes) -> bytes:
    """Return the JSON inside a JSON string on one line, its numbers and strings as written."""
    return msgspec.json.format(msgspec.json.decode(text, type=str).encode(), indent=-1)
