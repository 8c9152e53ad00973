"""What OpenAI's language gives to `dialects.dialect.Written`, each where it is written."""

from __future__ import annotations

from batchdrop.dialects.openai.reply import reply
from batchdrop.dialects.openai.translate import FORMS

__all__ = ["FORMS", "reply"]
