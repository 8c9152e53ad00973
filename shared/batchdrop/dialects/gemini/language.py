"""What Gemini's dialect gives: the functions of `dialects.dialect.Dialect`, each where it is written."""

from __future__ import annotations

from batchdrop.dialects.gemini.answer import answer
from batchdrop.dialects.gemini.attachments import may_name
from batchdrop.dialects.gemini.check import examine as check
from batchdrop.dialects.gemini.check import no_images
from batchdrop.dialects.gemini.media import draws
from batchdrop.dialects.gemini.models import draws_nothing
from batchdrop.dialects.gemini.render import bodies_of, body_bytes, body_of
from batchdrop.dialects.gemini.request import (
    identify,
    identify_all,
    may_ask_images,
    request,
)
from batchdrop.dialects.gemini.usage import add_usage

__all__ = [
    "add_usage",
    "answer",
    "bodies_of",
    "body_bytes",
    "body_of",
    "check",
    "draws",
    "draws_nothing",
    "identify",
    "identify_all",
    "may_ask_images",
    "may_name",
    "no_images",
    "request",
]
