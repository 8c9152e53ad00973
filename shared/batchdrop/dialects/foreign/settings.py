"""Settings of another API as generation settings, each checked as Gemini's validator checks it."""

from __future__ import annotations

from typing import Any

from batchdrop.core.problem import Code
from batchdrop.dialects.gemini import fields
from batchdrop.dialects.gemini.check import check_request
from batchdrop.dialects.hub import Hub, Rule, checked, refuse
from batchdrop.dialects.line import Json


def put(hub: Hub, name: str, value: Any, pointer: str) -> None:
    """Write a generation setting once, or refuse the line."""
    if name in hub.config:
        refuse(Code.DUPLICATE_NAME, pointer, f"Two fields of the line both set {name}.")
    hub.config[name] = checked(fields.CONFIG[name], value, pointer)


def setting(name: str) -> Rule:
    """Make the rule of a field that is one of Gemini's generation settings by another name."""
    return lambda hub, value, pointer: put(hub, name, value, pointer)


def refuse_invalid(request: Json, pointer: str) -> None:
    """Refuse a line whose request in the hub's words is not valid, for what the field at a pointer says."""
    problems = check_request(request)[2]
    if problems:
        refuse(problems[0].code, pointer, problems[0].message)
