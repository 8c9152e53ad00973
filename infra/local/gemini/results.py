"""Result lines, made while they are downloaded: the same bytes at every download, flat memory at any size."""

# JSON of any shape passes through here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false

from __future__ import annotations

import hashlib
import random
import re
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from infra.local.gemini import answers
from infra.local.gemini.faults import MARKER, Faults
from infra.local.gemini.requests import Request, decode_line, decode_request

CHUNK: Final = 1 << 20
_FATE: Final = re.compile(rb"\[\[emulate:([a-z-]+)(?:=(\d+))?\]\]")
_MARKER: Final = re.compile(r"\[\[emulate:[^\]]*\]\]")
_encode: Final = msgspec.json.encode
DEFAULT_TRUNCATE: Final = 500
MESSAGES: Final = {3: "Request contains an invalid argument.", 4: "Deadline expired before operation could complete."}


class Rows:
    """The result lines of one batch."""

    def __init__(
        self, model: str, faults: Faults, *, fails_first: Callable[[bytes], bool], cached_tokens: Callable[[str], int]
    ) -> None:
        """Take the batch's model and the faults frozen at its creation.

        Args:
            model: The bare id.
            faults: Rates and timing.
            fails_first: Tells whether this batch is the first that holds a request (by digest).
            cached_tokens: Tells how many tokens a named cache holds.
        """
        self._model = model
        self._faults = faults
        self._fails_first = fails_first
        self._cached_tokens = cached_tokens
        rows = faults.rows
        self._rates = [
            (rows.error_rate, f"error={rows.error_code}"),
            (rows.blocked_rate, "block"),
            (rows.missing_rate, "missing"),
            (rows.empty_rate, "empty"),
            (rows.truncated_rate, "truncate=100000"),
            (rows.invalid_rate, "invalid"),
        ]
        self._plain = not any(rate for rate, _ in self._rates)

    def of(self, path: Path, share: float = 1.0) -> Iterator[bytes]:
        """Yield the result lines of an input file, in order or shuffled."""
        lines = _shuffled(path, self._faults.seed) if self._faults.rows.shuffle else _lines(path)
        for raw in lines:
            for row in self.line(raw, share):
                yield row + b"\n"
        for number in range(self._faults.rows.unknown_rows):
            yield b'{"key":"nobody-%d","response":{"candidates":[]}}\n' % number

    def line(self, raw: bytes, share: float = 1.0) -> list[bytes]:
        """Return the result lines of one input line: none, one, or two when it is duplicated."""
        try:
            line = decode_line(raw)
            request = decode_request(line.request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [_error(_key_of(raw), 3)]
        body = bytes(line.request)
        digest = hashlib.blake2b(body, digest_size=8, salt=b"%d" % self._faults.seed).digest()
        value = int.from_bytes(digest)
        if share < 1.0 and value % 10_000 >= share * 10_000:
            return []
        fate, argument = self._fate(body, digest, value)
        row = self._row(line.key, request, value, fate, argument)
        if row is None:
            return []
        twice = (value >> 8) % 10_000 < self._faults.rows.duplicate_rate * 10_000
        return [row, row] if twice else [row]

    def _fate(self, body: bytes, digest: bytes, value: int) -> tuple[str, int]:
        if MARKER in body and (match := _FATE.search(body)):
            fate, argument = match[1].decode(), int(match[2] or 0)
            if fate == "error-once":
                return ("error", argument or 13) if self._fails_first(digest) else ("", 0)
            return fate, argument
        if self._plain:
            return "", 0
        point = value % 10_000 / 10_000
        for rate, fate in self._rates:
            if point < rate:
                if self._faults.rows.heal and not self._fails_first(digest):
                    return "", 0
                name, _, argument = fate.partition("=")
                return name, int(argument or 0)
            point -= rate
        return "", 0

    def _row(self, key: bytes, request: Request, value: int, fate: str, argument: int) -> bytes | None:
        if fate == "missing":
            return None
        if fate == "error":
            return _error(bytes(key), argument or 13)
        response = self.response(request, value, fate, argument)
        if value & 1:
            return b'{"key":%b,"response":%b}' % (key, response)
        return b'{"response":%b,"key":%b}' % (response, key)

    def response(self, request: Request, value: int, fate: str = "", argument: int = 0) -> bytes:
        """Return the JSON of the response to one request."""
        if request.content is not None:
            return self._embedding(request, value)
        text_tokens, media_tokens = answers.prompt_tokens(request)
        cached = self._cached_tokens(request.cachedContent or request.cached_content or "")
        prompt = (text_tokens, media_tokens, cached)
        if fate == "block":
            usage = _usage(prompt, 0, 0)
            return b'{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":%b,"modelVersion":"%b"}' % (
                usage,
                self._model.encode(),
            )
        if fate == "empty":
            return self._candidate(b'{"role":"model"}', b"STOP", _usage(prompt, 0, 0), value)
        if fate == "filter":
            return self._candidate(b"", b"SAFETY", _usage(prompt, 0, 0), value)
        if answers.wants_image(request, self._model):
            data = answers.image(value % 16, self._faults.image_kib)
            part = b'{"parts":[{"inlineData":{"mimeType":"image/png","data":"%b"}}],"role":"model"}' % data
            return self._candidate(part, b"STOP", _usage(prompt, answers.IMAGE_TOKENS, 0), value)
        return self._text(request, value, fate, argument, prompt)

    def _text(self, request: Request, value: int, fate: str, argument: int, prompt: tuple[int, int, int]) -> bytes:
        text = answers.answer_text(request, value, _MARKER.sub("", request.user_text()))
        if fate == "invalid":
            text = "Sure! Here is the JSON you asked for: {"
        if fate == "truncate":
            text = text.rjust((argument or DEFAULT_TRUNCATE) * 4)
        limit, count, reason = answers.output_limit(request), answers.tokens(text), b"STOP"
        if limit is not None and count > limit:
            text, count, reason = text[: limit * 4], limit, b"MAX_TOKENS"
        part = b'{"parts":[{"text":%b}],"role":"model"}' % _encode(text)
        usage = _usage(prompt, count, answers.thought_tokens(request, value))
        return self._candidate(part, reason, usage, value)

    def _candidate(self, content: bytes, reason: bytes, usage: bytes, value: int) -> bytes:
        inner = b'"content":%b,' % content if content else b""
        return (
            b'{"candidates":[{%b"finishReason":"%b","index":0}],"usageMetadata":%b,"modelVersion":"%b","responseId":"%x"}'
            % (
                inner,
                reason,
                usage,
                self._model.encode(),
                value,
            )
        )

    def _embedding(self, request: Request, value: int) -> bytes:
        dimensions = request.outputDimensionality or request.output_dimensionality or 3072
        vector = answers.vectors(dimensions)[value % answers.VECTORS]
        count = answers.prompt_tokens(request)[0]
        return b'{"tokenCount":"%d","embedding":{"values":%b}}' % (count, vector)


def _usage(prompt: tuple[int, int, int], candidates: int, thoughts: int) -> bytes:
    """Return usageMetadata; zero counters are left out, as the service does."""
    text, media, cached = prompt
    total_prompt = text + media + cached
    parts = [b'"promptTokenCount":%d' % total_prompt]
    if cached:
        parts.append(b'"cachedContentTokenCount":%d' % cached)
    if candidates:
        parts.append(b'"candidatesTokenCount":%d' % candidates)
    if thoughts:
        parts.append(b'"thoughtsTokenCount":%d' % thoughts)
    details = b'{"modality":"TEXT","tokenCount":%d}' % (text + cached)
    if media:
        details += b',{"modality":"IMAGE","tokenCount":%d}' % media
    return b'{%b,"totalTokenCount":%d,"promptTokensDetails":[%b]}' % (
        b",".join(parts),
        total_prompt + candidates + thoughts,
        details,
    )


def _error(key: bytes, code: int) -> bytes:
    message = MESSAGES.get(code, "Internal error encountered.")
    return b'{"key":%b,"error":{"code":%d,"message":%b}}' % (key, code, _encode(message))


def _key_of(raw: bytes) -> bytes:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return b"null"
    return _encode(found.get("key")) if isinstance(found, dict) else b"null"


def _lines(path: Path) -> Iterator[bytes]:
    rest = b""
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from filter(None, whole)
    if rest:
        yield rest


def _shuffled(path: Path, seed: int) -> Iterator[bytes]:
    """Yield the lines in an order of chance, the same each time; memory is 16 bytes a line."""
    starts = array("Q")
    offset = 0
    for line in _lines_with_newlines(path):
        if line != b"\n":
            starts.append(offset)
        offset += len(line)
    order = list(range(len(starts)))
    random.Random(seed).shuffle(order)
    with path.open("rb") as source:
        for index in order:
            source.seek(starts[index])
            yield source.readline().rstrip(b"\n")


def _lines_with_newlines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        yield from source
