"""The wire's JSON as the port's values: total over every state word, and over what is left out."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, Final, cast

from batchdrop.core.grpc import GRPC_NAMES
from batchdrop.ports import (
    Batch,
    BatchKind,
    BatchState,
    Cache,
    Cause,
    Failed,
    ModelInfo,
    ProviderFile,
)
from batchdrop.providers.google import moment

_BATCHES: Final = {
    "batchGenerateContent": BatchKind.GENERATE,
    "asyncBatchEmbedContent": BatchKind.EMBED,
}


def model_info(model: dict[str, Any]) -> ModelInfo:
    """Read what a model can do in batches from the methods it lists; without a list, nothing is said."""
    listed: Any = model.get("supportedGenerationMethods")
    methods = (
        {str(name) for name in cast("list[Any]", listed)}
        if isinstance(listed, list)
        else set[str]()
    )
    return ModelInfo(
        frozenset(kind for name, kind in _BATCHES.items() if name in methods),
        said=bool(methods),
    )


def batch(operation: dict[str, Any]) -> Batch:
    """Read a long-running operation; total over every state word (P9)."""
    metadata: dict[str, Any] = operation.get("metadata") or {}
    output: dict[str, Any] = metadata.get("output") or operation.get("response") or {}
    error: dict[str, Any] = operation.get("error") or metadata.get("error") or {}
    stats: dict[str, Any] = metadata.get("batchStats") or {}
    raw = str(metadata.get("state") or "")
    return Batch(
        name=str(operation["name"]),
        display_name=str(metadata.get("displayName") or ""),
        model=str(metadata.get("model") or "").removeprefix("models/"),
        state=state_of(raw),
        raw_state=raw,
        created_at=moment(metadata.get("createTime")) or datetime.fromtimestamp(0, UTC),
        ended_at=moment(metadata.get("endTime")),
        parts=tuple(filter(None, (output.get("responsesFile"),))),
        failed=_failed(error) if state_of(raw) is BatchState.FAILED else None,
        requests_done=_done(stats),
    )


def _done(stats: dict[str, Any]) -> int | None:
    """Return how many requests have an answer or an error; counts of zero are left out of the wire's JSON."""
    if not stats.get("requestCount"):
        return None
    return int(stats.get("successfulRequestCount") or 0) + int(
        stats.get("failedRequestCount") or 0
    )


def _failed(error: dict[str, Any]) -> Failed:
    """Read why a batch failed whole. The service never names lines, so whatever it says, halves may do better."""
    name = GRPC_NAMES.get(int(error.get("code") or 2), "UNKNOWN")
    return Failed(Cause.POISON, name, str(error.get("message") or "")[:500])


def state_of(raw: str) -> BatchState:
    """Return what a state word means, in the spelling of the wire (BATCH_STATE_…) or of the SDK (JOB_STATE_…)."""
    word = raw.removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
    return BatchState(word) if word in BatchState.__members__ else BatchState.UNKNOWN


def file(body: dict[str, Any]) -> ProviderFile:
    """Read a file."""
    return ProviderFile(
        name=str(body["name"]),
        uri=str(body.get("uri") or ""),
        size=int(body.get("sizeBytes") or 0),
        sha256=_hex_digest(str(body.get("sha256Hash") or "")),
        display_name=str(body.get("displayName") or ""),
        created_at=moment(body.get("createTime")) or datetime.fromtimestamp(0, UTC),
        expires_at=moment(body.get("expirationTime")),
    )


def _hex_digest(encoded: str) -> str:
    """Return the hex digest inside; the service sends base64 of the hex digest, not of the digest."""
    try:
        decoded = base64.b64decode(encoded)
    except (binascii.Error, ValueError):
        return ""
    return (
        decoded.hex()
        if len(decoded) == 32
        else decoded.decode("ascii", "replace").lower()
    )


def cache(body: dict[str, Any]) -> Cache:
    """Read a cached content."""
    usage: dict[str, Any] = body.get("usageMetadata") or {}
    return Cache(
        name=str(body["name"]),
        display_name=str(body.get("displayName") or ""),
        tokens=int(usage.get("totalTokenCount") or 0),
        created_at=moment(body.get("createTime")) or datetime.fromtimestamp(0, UTC),
        expires_at=moment(body.get("expireTime")) or datetime.fromtimestamp(0, UTC),
    )
