"""Dialects: what users' lines look like, each translated to Gemini's requests, and answers written in the same words.

    lines ──detect──► Dialect        line ──translate──► Translated (request, warnings) | Problem
    row, dialect ──answer──► the line the other API would have written

Pure functions; nothing here raises for anything a line may hold.
"""

from batchdrop.core.dialects.answering import answer
from batchdrop.core.dialects.detecting import detect
from batchdrop.core.dialects.shapes import Caution, Caveat, Dialect, Translated
from batchdrop.core.dialects.translating import CHAT_URL, EMBEDDINGS_URL, RESPONSES_URL, key_of, translate

__all__ = [
    "CHAT_URL",
    "EMBEDDINGS_URL",
    "RESPONSES_URL",
    "Caution",
    "Caveat",
    "Dialect",
    "Translated",
    "answer",
    "detect",
    "key_of",
    "translate",
]
