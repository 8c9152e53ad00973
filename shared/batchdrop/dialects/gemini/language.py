"""What Gemini's language gives to `dialects.dialect`, each where it is written."""

from __future__ import annotations

from batchdrop.dialects.gemini import (
    attachments,
    beginnings,
    images,
    media,
    models,
    plain_answers,
)
from batchdrop.dialects.gemini.answer import answer
from batchdrop.dialects.gemini.attachments import addresses, may_name
from batchdrop.dialects.gemini.check import examine as check
from batchdrop.dialects.gemini.render import bodies_of, body_bytes, body_of, renderer
from batchdrop.dialects.gemini.reply import reply, said
from batchdrop.dialects.gemini.request import identify, identify_all, request
from batchdrop.dialects.gemini.translate import FORMS, from_hub
from batchdrop.dialects.gemini.usage import add_usage
from batchdrop.dialects.line import LineForm

form = LineForm.GEMINI

__all__ = [
    "FORMS",
    "add_usage",
    "addresses",
    "answer",
    "attachments",
    "beginnings",
    "bodies_of",
    "body_bytes",
    "body_of",
    "check",
    "form",
    "from_hub",
    "identify",
    "identify_all",
    "images",
    "may_name",
    "media",
    "models",
    "plain_answers",
    "renderer",
    "reply",
    "request",
    "said",
]
