"""Models: which there are, what they count, and their single answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from batchdrop_local.emulators.gemini.caches import Caches
from batchdrop_local.emulators.gemini.faults import Faults
from batchdrop_local.emulators.gemini.requests import decode_request
from batchdrop_local.emulators.gemini.results import MESSAGES, Rows
from batchdrop_local.emulators.gemini.usage import prompt_of
from batchdrop_local.emulators.gemini.wire import ApiError
from batchdrop_local.emulators.http import Json

KNOWN: Final = frozenset(
    {
        "gemini-2.0-flash",
        "gemini-2.5-pro",
        "gemini-2.5-flash",
        "gemini-2.5-flash-lite",
        "gemini-2.5-flash-image",
        "gemini-2.5-flash-preview-tts",
        "gemini-2.5-pro-preview-tts",
        "gemini-3-pro-preview",
        "gemini-3-flash-preview",
        "gemini-3-pro-image-preview",
        "gemini-3.1-pro-preview",
        "gemini-3.1-flash-lite",
        "gemini-3.1-flash-image",
        "gemini-3.1-flash-lite-image",
        "gemini-3.5-flash",
        "gemini-3.6-flash",
        "gemini-3.7-flash",
        "gemini-embedding-001",
        "gemini-embedding-2",
        "gemini-robotics-er-1.5-preview",
        "veo-3.0-generate-001",
    }
)
"""Those with a batch limit of their own (ai.google.dev/gemini-api/docs/rate-limits, 2026-08-18) and their kin."""
_EMBEDS: Final = (
    "embedContent",
    "countTextTokens",
    "countTokens",
    "asyncBatchEmbedContent",
)
_ANSWERS: Final = ("generateContent", "countTokens")
_NO_CACHE: Final = ("-image", "-tts")
_ONCE: Final = frozenset({"gemini-robotics-er-1.5-preview"})
"""Those that answer but run in no batch."""
_HTTP: Final = {1: 499, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 14: 503}


def check(model: str, known: Mapping[str, Sequence[str]], method: str = "") -> None:
    """Raise 404 for a model nobody knows, and for a method it does not list."""
    listed = known.get(model)
    if listed is None or (
        method and listed and _LISTED_AS.get(method, method) not in listed
    ):
        what = method or "generateContent"
        message = f"models/{model} is not found for API version v1beta, or is not supported for {what}."
        raise ApiError(404, message)


_LISTED_AS: Final = {"batchEmbedContents": "embedContent"}


def methods(model: str) -> tuple[str, ...]:
    """Return what a model can do, as the service listed it on 2026-06-12 (a stored copy of its models.list)."""
    if "embedding" in model:
        return _EMBEDS
    if model.startswith("veo-"):
        return ("predictLongRunning",)
    if model in _ONCE:
        return _ANSWERS
    cached = (
        () if any(word in model for word in _NO_CACHE) else ("createCachedContent",)
    )
    return (*_ANSWERS, *cached, "batchGenerateContent")


def resource(model: str, listed: Sequence[str]) -> Json:
    """Return a model as the service shows it."""
    embeds = "embedding" in model
    return {
        "name": f"models/{model}",
        "displayName": model.replace("-", " ").title(),
        "version": "001",
        "inputTokenLimit": 2048 if embeds else 1_048_576,
        "outputTokenLimit": 1 if embeds else 65_536,
        "supportedGenerationMethods": list(listed),
    }


def count(body: bytes) -> Json:
    """Count a request's tokens, given as bare contents or as a whole generateContentRequest."""
    try:
        wanted = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        whole = (
            wanted.get("generateContentRequest")
            or wanted.get("generate_content_request")
            or body
        )
        prompt = prompt_of(decode_request(whole))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"Invalid JSON payload received. {error}") from None
    details = [
        {"modality": name, "tokenCount": tokens}
        for name, tokens in (("TEXT", prompt.text), *prompt.media)
    ]
    return {
        "totalTokens": prompt.total,
        "promptTokensDetails": [item for item in details if item["tokenCount"]],
    }


def generate(
    model: str, body: bytes, faults: Faults, caches: Caches, now: float
) -> bytes:
    """Answer one request at once.

    Raises:
        ApiError: The row would have been an error.
    """
    rows = Rows(
        model,
        faults,
        fails_first=lambda _: False,
        cached_tokens=lambda name: caches.tokens(name, now),
    )
    response, code = rows.response(body)
    if code:
        raise ApiError(
            _HTTP.get(code, 500),
            MESSAGES.get(code, "Internal error encountered."),
            1 if code == 8 else None,
        )
    return response


def embed(model: str, body: bytes, faults: Faults, caches: Caches, now: float) -> Json:
    """Embed texts at once."""
    try:
        requests = msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])[
            "requests"
        ]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError) as error:
        raise ApiError(400, f"Invalid JSON payload received. {error}") from None
    answered = [
        generate(model, bytes(request), faults, caches, now) for request in requests
    ]
    return {
        "embeddings": [
            msgspec.json.decode(answer, type=Json)["embedding"] for answer in answered
        ]
    }
