"""Anthropic's lines as requests in the hub's words."""

from __future__ import annotations

from typing import Final

from batchdrop.dialects.anthropic import messages
from batchdrop.dialects.forms import inside, user_key
from batchdrop.dialects.hub import Hub, Reader, leftovers
from batchdrop.dialects.line import Json, LineForm

_ENVELOPE: Final = frozenset({"custom_id", "params"})


def _line(hub: Hub, line: Json) -> tuple[bytes, Json]:
    params = inside(LineForm.ANTHROPIC, line, "params")
    leftovers(hub, line, _ENVELOPE, "")
    return user_key(line, "custom_id"), messages.translate(hub, params, "/params")


FORMS: Final[dict[LineForm, Reader]] = {LineForm.ANTHROPIC: _line}
