"""Usage: the tokens of one answer, from its `usageMetadata`, by the classes that have a price.

`promptTokenCount` includes what came from a cache, `candidatesTokenCount` does not include thoughts, 64-bit counters
may be strings and zero counters are left out (ai.google.dev/api/generate-content#UsageMetadata).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

import msgspec

from batchdrop.core.money.usage import LONG, LONG_PROMPT, REQUESTS, TokenClass, Usage

_MODALITIES: Final = {
    "TEXT": "text",
    "DOCUMENT": "image",
    "IMAGE": "image",
    "AUDIO": "audio",
    "VIDEO": "video",
}
"""A document's pages are billed as images (ai.google.dev/gemini-api/docs/document-processing)."""
_INPUT: Final = TokenClass.INPUT_TEXT.value
_OUTPUT: Final = TokenClass.OUTPUT_TEXT.value
_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Detail(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    modality: str = "TEXT"
    token_count: _Count = 0


class _Metadata(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    prompt_token_count: _Count = 0
    candidates_token_count: _Count = 0
    thoughts_token_count: _Count = 0
    cached_content_token_count: _Count = 0
    tool_use_prompt_token_count: _Count = 0
    prompt_tokens_details: list[_Detail] | None = None
    cache_tokens_details: list[_Detail] | None = None
    candidates_tokens_details: list[_Detail] | None = None


_decode = msgspec.json.Decoder(_Metadata).decode


def add_usage(total: Usage, metadata: bytes | None) -> None:
    """Add what an answer used; what cannot be read adds nothing but the request."""
    if metadata is None:
        return
    total[REQUESTS] += 1
    try:
        found = _read(metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    prompt, output = found.prompt_token_count, found.candidates_token_count
    prefix = LONG if prompt > LONG_PROMPT else ""
    plain = _is_text(found.prompt_tokens_details, prompt) and _is_text(
        found.candidates_tokens_details, output
    )
    if plain and not found.cached_content_token_count:
        total[prefix + _INPUT] += prompt
        total[prefix + _OUTPUT] += output
    else:
        _add_details(total, prefix, found, prompt, output)
    if found.tool_use_prompt_token_count:
        total[prefix + _INPUT] += found.tool_use_prompt_token_count
    if found.thoughts_token_count:
        total[prefix + TokenClass.THOUGHTS.value] += found.thoughts_token_count


def _read(metadata: bytes) -> _Metadata:
    """Read the usual spelling, numbers, in one typed decode; any other is mended first."""
    try:
        return _decode(metadata)
    except msgspec.ValidationError:
        return msgspec.convert(_mended(msgspec.json.decode(metadata)), _Metadata)


def _mended(value: Any, name: str = "") -> Any:
    """Return the metadata with every counter a number, 0 where it is none."""
    if isinstance(value, dict):
        return {
            name: _mended(entry, name)
            for name, entry in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, list):
        return [_mended(entry) for entry in cast("list[Any]", value)]
    return _whole(value) if name.endswith("Count") else value


def _is_text(details: list[_Detail] | None, total: int) -> bool:
    """True when all of it is text, as in most rows: nothing to split."""
    if not details:
        return True
    return (
        len(details) == 1
        and details[0].modality == "TEXT"
        and details[0].token_count <= total
    )


def _add_details(
    total: Usage, prefix: str, found: _Metadata, prompt: int, output: int
) -> None:
    """Add what is split by modality; what the details leave open is text."""
    cached = _by_modality(found.cache_tokens_details, found.cached_content_token_count)
    whole = _by_modality(found.prompt_tokens_details, prompt)
    for modality, tokens in whole.items():
        total[f"{prefix}input_{modality}"] += max(tokens - cached.get(modality, 0), 0)
    for modality, tokens in cached.items():
        total[f"{prefix}cached_{modality}"] += tokens
    for modality, tokens in _by_modality(
        found.candidates_tokens_details, output
    ).items():
        kind = modality if modality in ("image", "audio") else "text"
        total[f"{prefix}output_{kind}"] += tokens


def _by_modality(details: list[_Detail] | None, total: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for detail in details or ():
        modality = _MODALITIES.get(detail.modality, "text")
        found[modality] = found.get(modality, 0) + detail.token_count
    rest = total - sum(found.values())
    if rest > 0:
        found["text"] = found.get("text", 0) + rest
    return found


def _whole(value: object) -> int:
    if isinstance(value, str):
        return (
            int(value) if value.isascii() and value.isdigit() and len(value) < 19 else 0
        )
    return max(value, 0) if isinstance(value, int) else 0
