"""Result lines, made while they are downloaded: the same bytes at every download, flat memory at any size.

    input line --decode--> (key, request) --fate: marker, else rate--> error line, answer line, or none

The answer depends on (model, request bytes) alone; the fate on (seed, last word of the key, request bytes),
so that ids which are made anew for each run, `<run>-<line>`, have the same fate in each.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from batchdrop_local.emulators.gemini import answers
from batchdrop_local.emulators.gemini.caches import NUMBER_DIGITS
from batchdrop_local.emulators.gemini.faults import MARKER, Faults
from batchdrop_local.emulators.gemini.lines import lines, shuffled
from batchdrop_local.emulators.gemini.requests import (
    ABSENT,
    Request,
    decode_line,
    decode_request,
)
from batchdrop_local.emulators.gemini.usage import (
    Prompt,
    implicitly_cached,
    prompt_of,
    usage,
)

_FATE: Final = re.compile(rb"\[\[emulate:([a-z-]+)(?:=(\d+))?\]\]")
_MARKER: Final = re.compile(r"\[\[emulate:[^\]]*\]\]")
_ODD: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1
_SHARE: Final = 1 << 24
DEFAULT_TRUNCATE: Final = 500
MESSAGES: Final = {
    3: "Request contains an invalid argument.",
    4: "Deadline expired before operation could complete.",
    5: "CachedContent not found (or permission denied).",
    7: "You do not have permission to access the File or it may not exist.",
    8: "Resource has been exhausted (e.g. check quota).",
    14: "The model is overloaded. Please try again later.",
}
_ENVELOPES: Final = (
    b'{"candidates":[{"content":%b,"finishReason":"%b","index":0}],"usageMetadata":%b,"modelVersion":"%b","responseId":"%x"}',
    b'{"responseId":"%x","usageMetadata":%b,"candidates":[{"content":%b,"finishReason":"%b","index":0}],"modelVersion":"%b"}',
)
Fate = tuple[str, int]
NO_FATE: Final[Fate] = ("", 0)


class Rows:
    """The result lines of one batch."""

    def __init__(
        self,
        model: str,
        faults: Faults,
        *,
        fails_first: Callable[[bytes], bool],
        cached_tokens: Callable[[str], int | None],
        file_refused: Callable[[str], int] = lambda _: 0,
    ) -> None:
        """Take the batch's model and the faults frozen at its creation.

        Args:
            model: The bare id.
            faults: Rates and timing.
            fails_first: Tells whether this batch is the first that holds a request (by digest).
            cached_tokens: Tells how many tokens a named cache holds; None when it did not live long enough.
            file_refused: Tells the code of the error a file's address leads to; 0 when it can be read.
        """
        self._model = model
        self._version = model.encode()
        self._salt = zlib.crc32(self._version)
        self._faults = faults
        self._seed = faults.seed & 0xFFFFFFFF
        self._fails_first = fails_first
        self._file_refused = lru_cache(maxsize=1024)(file_refused)
        self._cached_tokens = lru_cache(maxsize=1024)(cached_tokens)
        rows = faults.rows
        self._rates: list[tuple[float, str]] = [
            (rows.error_rate, "error"),
            (rows.blocked_rate, "block"),
            (rows.missing_rate, "missing"),
            (rows.empty_rate, "empty"),
            (rows.truncated_rate, "cut"),
            (rows.invalid_rate, "invalid"),
        ]
        self._fateless = (
            not any(rate for rate, _ in self._rates) and not rows.duplicate_rate
        )

    def of(self, path: Path, share: float = 1.0) -> Iterator[bytes]:
        """Yield the result lines of an input file, in order or shuffled, each with its newline."""
        answer = self.line
        for raw in (
            shuffled(path, self._faults.seed)
            if self._faults.rows.shuffle
            else lines(path)
        ):
            yield from answer(raw, share)
        for number in range(self._faults.rows.unknown_rows):
            yield b'{"key":"nobody-%d","response":{"candidates":[]}}\n' % number

    def line(self, raw: bytes, share: float = 1.0) -> tuple[bytes, ...]:
        """Return the result lines of one input line: none, one, or two when it is duplicated."""
        try:
            line = decode_line(raw)
            request = decode_request(line.request)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return (self._error(key_of(raw), 3),)
        body, key = _without_number(request, line.request), line.key
        point = _mixed(zlib.crc32(_last_word(key), zlib.crc32(body, self._seed)))
        if share < 1.0 and point % 9973 >= share * 9973:
            return ()
        if self._fateless and MARKER not in raw:
            return (self._answered(key, request, body, NO_FATE),)
        name, argument = self._fate(body, request, point)
        if name == "missing":
            return ()
        if name == "error":
            return (self._error(key, argument),)
        row = self._answered(key, request, body, (name, argument))
        twice = (
            name == "duplicate"
            or (point >> 8) % _SHARE < self._faults.rows.duplicate_rate * _SHARE
        )
        return (row, row) if twice else (row,)

    def verdict(self, raw: bytes) -> bool | None:
        """Tell how one input line counts in batchStats: answered, failed, or None when it cannot be read."""
        try:
            line = decode_line(raw)
            request = decode_request(line.request)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if self._fateless and MARKER not in raw:
            return True
        body = _without_number(request, line.request)
        point = _mixed(zlib.crc32(_last_word(line.key), zlib.crc32(body, self._seed)))
        return self._fate(body, request, point)[0] not in ("error", "missing")

    def response(self, raw: bytes) -> tuple[bytes, int]:
        """Answer one bare request at once; return the response, and 0 or a google.rpc code."""
        try:
            request = decode_request(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return b"", 3
        body = _without_number(request, msgspec.Raw(raw))
        name, argument = self._fate(body, request, _mixed(zlib.crc32(body, self._seed)))
        if name in ("error", "missing"):
            return b"", argument or 13
        return self._respond(request, self._value(body), (name, argument)), 0

    def _fate(self, body: msgspec.Raw, request: Request, point: int) -> Fate:
        raw = bytes(body)
        if MARKER in raw and (match := _FATE.search(raw)):
            name, argument = match[1].decode(), int(match[2] or 0)
            if name.endswith("-once"):
                name = (
                    name.removesuffix("-once")
                    if self._fails_first(_digest(request, raw))
                    else ""
                )
            return name, argument or 13 if name == "error" else argument
        share = (point >> 40) / _SHARE
        for rate, name in self._rates:
            if share < rate:
                if self._faults.rows.heal and not self._fails_first(
                    _digest(request, raw)
                ):
                    return NO_FATE
                codes = self._faults.rows.error_codes or (13,)
                return name, codes[point % len(codes)] if name == "error" else 0
            share -= rate
        return NO_FATE

    def _value(self, body: msgspec.Raw) -> int:
        return _mixed(zlib.crc32(body, self._salt)) >> 8

    def _answered(
        self, key: msgspec.Raw, request: Request, body: msgspec.Raw, fate: Fate
    ) -> bytes:
        value = self._value(body)
        cache = request.cache
        if cache and self._cached_tokens(cache) is None:
            return self._error(key, 5)
        for part in request.parts():
            if part.media is not None and (
                refused := self._file_refused(part.media.uri)
            ):
                return self._error(key, refused)
        response = self._respond(request, value, fate)
        if value & 1:
            return b'{"key":%b,"response":%b}\n' % (key, response)
        return b'{"response":%b,"key":%b}\n' % (response, key)

    def _respond(self, request: Request, value: int, fate: Fate) -> bytes:
        cache = request.cache
        prompt = prompt_of(request, (self._cached_tokens(cache) or 0) if cache else 0)
        if request.content is not None:
            return answers.embedded(request, value, prompt)
        if (
            not cache
            and (value >> 4) % 4096 < self._faults.rows.implicit_cache_rate * 4096
        ):
            prompt = implicitly_cached(prompt)
        name, argument = fate
        if name == "block":
            blocked = b'{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":%b,"modelVersion":"%b"}'
            return blocked % (usage(prompt, 0, 0), self._version)
        if name in ("empty", "filter"):
            content, reason = (
                (b'{"role":"model"}', b"STOP")
                if name == "empty"
                else (b"{}", b"SAFETY")
            )
            return self._enveloped(content, reason, usage(prompt, 0, 0), value)
        content, reason, counted = self._content(request, value, prompt, name, argument)
        return self._enveloped(content, reason, counted, value)

    def _content(
        self, request: Request, value: int, prompt: Prompt, name: str, argument: int
    ) -> tuple[bytes, bytes, bytes]:
        config = request.config
        if answers.wants_image(config, self._model):
            return answers.drawn(config, value, prompt, self._faults.image_kib)
        if name in ("", "duplicate") and answers.is_plain(config):
            text, count = answers.plain_text(value)
            limit = answers.limit_of(config)
            if limit is None or count <= limit:
                return (
                    b'{"parts":[{"text":%b}],"role":"model"}' % text,
                    b"STOP",
                    usage(prompt, count, 0),
                )
        asked = request.text()
        whole = answers.text_of(
            config, value, _MARKER.sub("", asked) if "[[" in asked else asked
        )
        if name == "invalid":
            whole = answers.PROSE
        if (
            name == "truncate"
        ):  # padded in front, so that JSON is whole again once the limit is large enough
            whole = whole.rjust((argument or DEFAULT_TRUNCATE) * 4)
        cut_below = self._faults.rows.truncated_tokens if name == "cut" else 0
        return answers.written(config, value, prompt, whole, cut_below)

    def _enveloped(
        self, content: bytes, reason: bytes, counted: bytes, value: int
    ) -> bytes:
        if value & 2:
            return _ENVELOPES[0] % (content, reason, counted, self._version, value)
        return _ENVELOPES[1] % (value, counted, content, reason, self._version)

    def _error(self, key: bytes | msgspec.Raw, code: int) -> bytes:
        message = MESSAGES.get(code, "Internal error encountered.").encode()
        details = b',"details":[{"@type":"type.googleapis.com/google.rpc.DebugInfo","detail":"emulated"}]'
        more = details if self._faults.rows.error_details else b""
        return b'{"key":%b,"error":{"code":%d,"message":"%b"%b}}\n' % (
            key,
            code,
            message,
            more,
        )


def _last_word(key: msgspec.Raw) -> bytes:
    """Return what follows the last hyphen of a key, or the key."""
    return bytes(key).rpartition(b"-")[2]


def key_of(raw: bytes) -> bytes:
    """Return the key of a line whose request cannot be read, as JSON."""
    try:
        return bytes(
            msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("key", ABSENT)
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b"null"


def _without_number(request: Request, body: msgspec.Raw) -> msgspec.Raw:
    """Return a request's bytes as if its cache was the first of its contents."""
    if not request.cache:
        return body
    name = request.cache.encode()
    return msgspec.Raw(bytes(body).replace(name, name[:-NUMBER_DIGITS]))


def _digest(request: Request, raw: bytes) -> bytes:
    """Return what makes a redo the same request although its settings changed: the text, if there is any."""
    return hashlib.blake2b(
        request.text().encode("utf-8", "surrogatepass") or raw, digest_size=16
    ).digest()


def _mixed(checksum: int) -> int:
    """Spread a 32-bit checksum over 64 bits."""
    spread = (checksum + 1) * _ODD & _MASK
    return spread ^ (spread >> 32)
