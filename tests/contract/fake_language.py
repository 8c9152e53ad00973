"""A language in a few lines: all that a new one has to write. `{"say": text}` is answered by `{"said": text}`.

Nothing of it looks like another's, so that no step can take another language by accident. It has no images, caches,
attachments or media, and no lines of its own: users' lines are translated, records are rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from batchdrop.core.money.usage import REQUESTS, TokenClass, Usage
from batchdrop.core.problem import Code
from batchdrop.core.recipe.draft import Draft
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.core.result.join import InputLine
from batchdrop.core.result.outcome import Answer, Outcome
from batchdrop.core.result.result import Result
from batchdrop.dialects.converted import read
from batchdrop.dialects.hub import refuse
from batchdrop.dialects.line import Accepted, Json, Rejected
from batchdrop.dialects.reply import Choice, Said
from batchdrop.dialects.reply import Usage as Tokens
from batchdrop.ports import BatchKind

form = "fake"
TEXT = b'"text"'
attachments = beginnings = images = media = models = plain_answers = None


class FakeRequest(msgspec.Struct, frozen=True):
    """One view of a request: it asks for a text of any length."""

    say: str
    wants_json: bool = False
    schema: bytes = b""
    output_limit: int | None = 5


class _Line(msgspec.Struct, frozen=True):
    request: msgspec.Raw
    key: msgspec.Raw = msgspec.Raw(b"null")
    record: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_Line).decode


def check(line: bytes, model: str, *, converted: bool) -> Accepted | Rejected:
    entry = read(line) if converted else (b"null", (Code.NOT_OBJECT, "", "The language has no lines.", ""))
    if not isinstance(entry, bytes):
        return Rejected(entry[0], *entry[1])
    return Accepted(BatchKind.GENERATE, bytes(_decode(entry).key), len(entry))


def request(line: bytes) -> FakeRequest:
    return msgspec.json.decode(_decode(line).request, type=FakeRequest)


def may_name(line: bytes) -> bool:
    return b"gs:" in line


def addresses(line: bytes) -> list[tuple[str, str]]:
    say = request(line).say
    return [("/say", say)] if say.startswith("gs:") else []


def identify(line: bytes, number: int) -> InputLine:
    found = _decode(line)
    return InputLine(number, bytes(found.key), False, TEXT, bytes(found.record))


def identify_all(lines: bytes, number: int) -> list[InputLine]:
    return [identify(line, number) for number, line in enumerate(lines.splitlines(), number)]


def renderer(recipe: Recipe) -> Callable[[Draft], bytes]:
    return lambda draft: b'{"say":%b}' % (draft.prompt or b'""')


def from_hub(request: Json) -> Json:
    if request.keys() != {"contents"}:
        refuse(Code.NO_EQUIVALENT, "", "It can only say something.")
    return {"say": request["contents"][0]["parts"][0]["text"]}


def body_of(
    line: bytes, *, longer: bool = False, beginning: object = None, files: Mapping[str, str] | None = None
) -> bytes:
    return b'{"v":1,' + bytes(_decode(line).request)[1:]


def bodies_of(lines: bytes, number: int) -> list[tuple[int, bytes]]:
    return [(number, body_of(line)) for number, line in enumerate(lines.splitlines(), number)]


def body_bytes(line: bytes, accepted: Accepted) -> int:
    return len(body_of(line))


def answer(result: Result, line: InputLine) -> Answer:
    if result.fault is not None:
        return Answer(Outcome.ERROR, result.fault.code, result.fault.message)
    if line.schema != TEXT:
        return Answer(Outcome.INVALID, "NOT_TEXT", "A line that is not of this language was asked.")
    said: dict[str, Any] = msgspec.json.decode(result.body)
    return Answer(Outcome.ANSWERED, text=msgspec.json.encode(said["said"]), usage=b"3", response=bytes(result.body))


def add_usage(total: Usage, metadata: bytes | None) -> None:
    total[REQUESTS] += metadata is not None
    total[TokenClass.OUTPUT_TEXT.value] += int(metadata or 0)


def said(row: Json, digest: str) -> Said:
    return Said("", Tokens(), [Choice(row.get("text"), [], [], "STOP")])
