"""The hub: a request in the making, in the words that all languages are translated through, and the rules for it.

    a line --rules of its language--> Hub --finished--> a request in the hub's words --from_hub--> in the job's words

The hub's words are Gemini's: its requests have a place for whatever the others can say. A rule takes (hub, value,
pointer) and writes into the hub, warns, or refuses the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, cast

import msgspec

from batchdrop.core import strict_json
from batchdrop.core.pointer import join
from batchdrop.core.problem import Code, Problem
from batchdrop.dialects.line import Caution, Caveat, Json

_decode: Final = msgspec.json.decode
_encode: Final = msgspec.json.encode


class Refused(Exception):  # noqa: N818 - it is a verdict on a line, not a fault of the program
    """The line has no translation; never leaves the package."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(problem.code)
        self.problem = problem


@dataclass(slots=True)
class Hub:
    """What was read of a line so far; `calls` maps the ids of tool calls to the functions' names."""

    contents: list[Json] = field(default_factory=list[Json])
    system: list[Json] = field(default_factory=list[Json])
    config: Json = field(default_factory=dict[str, Any])
    tools: list[Json] = field(default_factory=list[Json])
    tool_config: Json | None = None
    wants: str | None = None
    calls: dict[str, str] = field(default_factory=dict[str, str])
    warnings: list[Caveat] = field(default_factory=list[Caveat])


Rule = Callable[[Hub, Any, str], None]
Block = Callable[[Hub, Json, str], Json]
Check = Callable[[Any, str, list[Problem]], None]
Reader = Callable[[Hub, Json], tuple[bytes, Json]]
"""Returns the user's key, as JSON, and the request of a line in the hub's words, or refuses the line."""


def loads(raw: bytes, pointer: str = "") -> Any:
    """Return the value of strict JSON, or refuse the line.

    The quick reader swallows repeated names, so its value must hold as many quotation marks as the text did; nesting
    is bounded by counting brackets. Whatever fails is read again, slowly, for the exact reason. `pointer` tells where
    the text stands when it is a string inside the line.
    """
    if (
        raw.count(b"{") + raw.count(b"[") <= strict_json.MAX_DEPTH
        and b"u0022" not in raw
    ):
        try:
            value = _decode(raw)
            if _encode(value).count(b'"') == raw.count(b'"'):
                return value
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
    try:
        return strict_json.loads(raw)
    except strict_json.StrictError as error:
        raise Refused(replace(error.problem, pointer=pointer)) from None


def refuse(code: Code, pointer: str, message: str, fix: str = "") -> NoReturn:
    """Refuse the line."""
    raise Refused(Problem(code, pointer, message, fix))


def warn(hub: Hub, code: Caution, pointer: str, message: str) -> None:
    """Note something that could not be kept exactly."""
    hub.warnings.append(Caveat(code, pointer, message))


# --------------------------------------------------------------------------------------------- typed reading
def text_of(value: Any, pointer: str) -> str:
    """Return a string, or refuse the line."""
    if not isinstance(value, str):
        refuse(Code.WRONG_TYPE, pointer, "The value must be a string.")
    return value


def object_of(value: Any, pointer: str) -> Json:
    """Return an object, or refuse the line."""
    if not isinstance(value, dict):
        refuse(Code.WRONG_TYPE, pointer, "The value must be an object.")
    return cast("Json", value)


def list_of(value: Any, pointer: str) -> list[Any]:
    """Return an array, or refuse the line."""
    if not isinstance(value, list):
        refuse(Code.WRONG_TYPE, pointer, "The value must be an array.")
    return cast("list[Any]", value)


def needed(body: Json, name: str, pointer: str) -> Any:
    """Return a field that must be there and not null, or refuse the line."""
    value = body.get(name)
    if value is None:
        refuse(Code.MISSING_FIELD, join(pointer, name), f'The object has no "{name}".')
    return value


def word_of(body: Json, name: str, pointer: str) -> str:
    """Return a string field that must be there, or refuse the line."""
    return text_of(needed(body, name, pointer), join(pointer, name))


def checked(check: Check, value: Any, pointer: str, *, at: str | None = None) -> Any:
    """Return a value the validator's check accepts, or refuse the line with its first finding.

    Args:
        check: Adds what is wrong to a list; see `gemini.fields`.
        value: What to check.
        pointer: Where the value stands in the user's line.
        at: The pointer to report instead, when the value was built here and deeper pointers mean nothing to the user.
    """
    problems: list[Problem] = []
    check(value, pointer, problems)
    if problems:
        first = problems[0]
        refuse(
            first.code, first.pointer if at is None else at, first.message, first.fix
        )
    return value


def leftovers(hub: Hub, body: Json, known: frozenset[str], pointer: str) -> None:
    """Warn of every field that is not read."""
    if body.keys() <= known:
        return
    for name, value in body.items():
        if name not in known and value is not None:
            warn(
                hub,
                Caution.IGNORED,
                join(pointer, name),
                f"{name} has no equivalent here and is left out.",
            )


# ----------------------------------------------------------------------------------------------------- rules
def read(hub: Hub, body: Json, table: Mapping[str, Rule], pointer: str) -> None:
    """Apply the rule of every field that is there and not null, in the table's order; refuse unknown fields."""
    for name in body:
        if name not in table:
            refuse(
                Code.UNKNOWN_FIELD,
                join(pointer, name),
                "The translation knows no such field.",
            )
    for name in [name for name in table if name in body]:
        value = body[name]
        if value is not None:
            table[name](hub, value, f"{pointer}/{name}")


def ignored(why: str) -> Rule:
    """Make the rule of a field without an equivalent that does not change what an answer means."""

    def rule(hub: Hub, value: Any, pointer: str) -> None:
        warn(hub, Caution.IGNORED, pointer, f"The field is left out: {why}.")

    return rule


def ignored_unless(harmless: object, why: str) -> Rule:
    """Make the rule of a field without an equivalent that says nothing when it has its usual value."""

    def rule(hub: Hub, value: Any, pointer: str) -> None:
        if value != harmless:
            warn(hub, Caution.IGNORED, pointer, f"The field is left out: {why}.")

    return rule


def impossible(message: str, fix: str = "") -> Rule:
    """Make the rule of a field without an equivalent that the answer hangs on."""

    def rule(hub: Hub, value: Any, pointer: str) -> None:
        refuse(Code.NO_EQUIVALENT, pointer, message, fix)

    return rule


def wants(hub: Hub, value: Any, pointer: str) -> None:
    """Keep the model the line names."""
    hub.wants = text_of(value, pointer)


def parts_of(
    hub: Hub, content: Any, blocks: Mapping[str, Block], pointer: str
) -> list[Json]:
    """Return a message's content, a string or typed blocks, as Gemini parts, or refuse the line."""
    if isinstance(content, str):
        return [{"text": content}]
    return [
        block_of(hub, block, blocks, f"{pointer}/{index}")
        for index, block in enumerate(list_of(content, pointer))
    ]


def block_of(hub: Hub, block: Any, blocks: Mapping[str, Block], pointer: str) -> Json:
    """Return one typed block as a Gemini part, or refuse the line."""
    body = object_of(block, pointer)
    kind = word_of(body, "type", pointer)
    if kind not in blocks:
        message = "Gemini has no equivalent of this kind of content here."
        refuse(
            Code.NO_EQUIVALENT,
            join(pointer, "type"),
            message,
            f"Use {', '.join(blocks)}.",
        )
    return blocks[kind](hub, body, pointer)


def text_block(known: frozenset[str]) -> Block:
    """Make the reader of blocks that hold `text`; `known` are the fields that need no warning."""

    def block(hub: Hub, body: Json, pointer: str) -> Json:
        leftovers(hub, body, known, pointer)
        return {"text": word_of(body, "text", pointer)}

    return block


def add_system(hub: Hub, parts: list[Json], pointer: str) -> None:
    """Add to the system instruction, which stands before everything; warn when it did not."""
    if hub.contents:
        warn(
            hub,
            Caution.REORDERED,
            pointer,
            "Gemini has one system instruction; this text moves to it.",
        )
    if not all("text" in part for part in parts):
        refuse(
            Code.NO_EQUIVALENT,
            pointer,
            "A system instruction can hold text only.",
            "Move media to a user message.",
        )
    hub.system += parts


def add_turn(hub: Hub, role: str, parts: list[Json], pointer: str) -> None:
    """Add a turn of `user` or `model`, or refuse an empty one."""
    if not parts:
        refuse(Code.EMPTY, pointer, "The message has no content.")
    hub.contents.append({"role": role, "parts": parts})


def finished(hub: Hub, pointer: str) -> Json:
    """Return the request, or refuse a line that asks nothing."""
    if not hub.contents:
        if not hub.system:
            refuse(Code.EMPTY, pointer, "The line asks nothing.", "Add a user message.")
        warn(
            hub,
            Caution.APPROXIMATED,
            pointer,
            "There are system messages only; they are asked as the user.",
        )
        hub.contents, hub.system = [{"role": "user", "parts": hub.system}], []
    request: Json = {"contents": hub.contents}
    if hub.system:
        request["systemInstruction"] = {"parts": hub.system}
    if hub.config:
        request["generationConfig"] = hub.config
    if hub.tools:
        request["tools"] = hub.tools
    if hub.tool_config is not None:
        request["toolConfig"] = hub.tool_config
    return request
