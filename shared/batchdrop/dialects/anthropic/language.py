"""What Anthropic's language gives to `dialects.dialect.Written`, each where it is written."""

from __future__ import annotations

from batchdrop.dialects.anthropic.reply import reply
from batchdrop.dialects.anthropic.translate import FORMS

__all__ = ["FORMS", "reply"]
