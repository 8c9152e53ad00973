"""Input lines, plain or converted: examined once, rendered for the provider.

Rendering is a pure function of the line and the kind of round; the provider's line around it is its envelope's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from batchdrop.core.problem import Code
from batchdrop.dialects.converted import read
from batchdrop.dialects.dialect import Accepted, Rejected
from batchdrop.dialects.gemini.attachments import with_files
from batchdrop.dialects.gemini.beginnings import Beginning
from batchdrop.dialects.gemini.check import check_line
from batchdrop.dialects.gemini.models import DRAWS


class _RawEnvelope(msgspec.Struct, frozen=True):
    request: msgspec.Raw


_raw_envelopes = msgspec.json.Decoder(_RawEnvelope)
_decode_raw = _raw_envelopes.decode
_decode = msgspec.json.decode
_encode = msgspec.json.encode

LONGER_FACTOR = 2


def examine(raw: bytes, model: str, *, converted: bool) -> Accepted | Rejected:
    """Return what a line asks for, or what is wrong with it first. Total over what users write: it never raises."""
    if converted:
        entry = read(raw)
        if not isinstance(entry, bytes):
            return Rejected(entry[0], *entry[1])
        raw = entry
    found = check_line(raw, model)
    if isinstance(found, Accepted):
        return found
    key, problems = found
    first = problems[0]
    more = f" ({len(problems) - 1} more problems in this line.)" if len(problems) > 1 else ""
    return Rejected(key, first.code, first.pointer, first.message + more, first.advice())


def no_images(key: bytes, model: str) -> Rejected:
    """Refuse a line that asks a model for images which makes none."""
    return Rejected(
        key,
        Code.NOT_SUPPORTED,
        "/request/generationConfig/responseModalities",
        f"The model {model} makes no images.",
        f"Ask for TEXT only, or name a model that draws, such as {DRAWS}.",
    )


def body_of(
    raw: bytes,
    *,
    longer: bool,
    beginning: Beginning | None = None,
    files: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return the request of an accepted input line as it goes out.

    Args:
        raw: The input line.
        longer: Give the answer twice the room.
        beginning: What a cache holds is left out.
        files: The provider's files by the objects they were made of.
    """
    request = bytes(_decode_raw(raw).request)
    if beginning is not None:
        request = beginning.spared(request)
    if files:
        request = with_files(request, files)
    return with_longer_output(request) if longer else request


def bodies_of(lines: bytes, number: int) -> list[tuple[int, bytes]]:
    """Return number and request of accepted input lines as they are, the first of which has that number."""
    return [(number, bytes(found.request)) for number, found in enumerate(_raw_envelopes.decode_lines(lines), number)]


def body_bytes(raw: bytes, found: Accepted) -> int:
    """Return how long `body_of` makes an accepted input line, without making it."""
    return memoryview(_decode_raw(raw).request).nbytes if found.request_bytes is None else found.request_bytes


def with_longer_output(request: bytes) -> bytes:
    """Return the request with twice the output limit it had; without a limit, unchanged."""
    body: dict[str, Any] = _decode(request)
    name = "generationConfig" if "generationConfig" in body else "generation_config"
    config: dict[str, Any] = body.get(name) or {}
    field = "maxOutputTokens" if "maxOutputTokens" in config else "max_output_tokens"
    if field not in config:
        return request
    config[field] = int(config[field]) * LONGER_FACTOR
    return _encode(body)
