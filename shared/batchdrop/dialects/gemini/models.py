"""What models can be asked in batches: as the provider says, and where it cannot be asked, as it said once.

The provider lists a model's methods; a batch needs `batchGenerateContent` or `asyncBatchEmbedContent` among them. A
model of which it says nothing is let through with a warning.
"""

from __future__ import annotations

import re
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.provider.batch import BatchKind, ModelInfo
from batchdrop.core.value import Failure

DEFAULT: Final = "gemini-2.5-flash-lite"
"""A stack's default model."""
EMBEDS: Final = "gemini-embedding-001"
DRAWS: Final = "gemini-2.5-flash-image"

_GENERATE: Final = ModelInfo(frozenset({BatchKind.GENERATE}))
_EMBED: Final = ModelInfo(frozenset({BatchKind.EMBED}))
_NEITHER: Final = ModelInfo(frozenset())
# An answer of generativelanguage.googleapis.com/v1beta/models of 2026-06-12, read in a stored copy 2026-11-25.
_TABLE: Final[tuple[tuple[str, ModelInfo], ...]] = (
    (r"gemini-embedding-(001|2(-preview)?)", _EMBED),
    (
        r"gemini-robotics-er-1\.5-preview|gemini-2\.5-computer-use-preview.*|(aqa|imagen|veo|lyria)(-.*)?",
        _NEITHER,
    ),
    (r"(deep-research|antigravity)-.*", _NEITHER),
    (r"gemini-(2\.0-flash|2\.5-(pro|flash|flash-lite|flash-image))(-001)?", _GENERATE),
    (r"gemini-2\.5-(flash|pro)-preview-tts|gemini-3\.1-flash-tts-preview", _GENERATE),
    (
        r"gemini-3-(pro|flash|pro-image)-preview|gemini-3-pro-image|nano-banana-pro-preview",
        _GENERATE,
    ),
    (
        r"gemini-3\.1-(pro|flash-lite|flash-image)-preview|gemini-3\.1-flash-(lite|image|lite-image)",
        _GENERATE,
    ),
    (r"gemini-3\.[567]-flash|gemini-robotics-er-1\.6-preview", _GENERATE),
)
_FOREIGN: Final = re.compile(r"(gpt|chatgpt|claude|text-embedding-3|o[0-9])[0-9a-z.-]*")
_WORDS: Final = {
    BatchKind.GENERATE: "answers no requests",
    BatchKind.EMBED: "makes no embeddings",
}
_RIGHT: Final = {BatchKind.GENERATE: DEFAULT, BatchKind.EMBED: EMBEDS}


def table(model: str) -> ModelInfo | None:
    """Return what a model could do when the table was made; None when it was not in it."""
    return next(
        (info for pattern, info in _TABLE if re.fullmatch(pattern, model)), None
    )


def cannot(model: str, kind: BatchKind) -> Failure:
    """Say that a model cannot run requests of a kind in batches, and which can."""
    what = "embeds" if kind is BatchKind.EMBED else "answers"
    return Failure(
        code=Code.MODEL_CANNOT,
        message=f"The model {model} {_WORDS[kind]} in batches.",
        fix=f"Name one that {what}, such as {_RIGHT[kind]}: in the recipe, or as the object metadata `model`.",
    )


def foreign(model: str) -> Failure | None:
    """Say that a model's name is one of another service."""
    if not _FOREIGN.fullmatch(model):
        return None
    fix = f"Name a model of this stack's provider, such as {DEFAULT}."
    return Failure(
        code=Code.UNKNOWN_MODEL,
        message=f"{model} is a model of another service.",
        fix=fix,
    )
