"""Functions (tools): declared, chosen, called and answered in Gemini's words."""

from __future__ import annotations

from typing import Any, Final

from batchdrop.core.pointer import join
from batchdrop.core.problem import Code
from batchdrop.dialects.foreign.settings import put
from batchdrop.dialects.gemini import fields
from batchdrop.dialects.hub import (
    Hub,
    checked,
    loads,
    object_of,
    refuse,
    text_of,
    warn,
    word_of,
)
from batchdrop.dialects.line import Caution, Json

FOREIGN_CALL: Final = "skip_thought_signature_validator"
"""Stands for the thought signature of a call another model made: Gemini 3 refuses a call without one
(docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures, stored copy read 2026-11-23). Google names this
value for histories of other models; read at second hand, in public code that quotes it."""
BUDGETS: Final = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
}
"""Thinking tokens for words of effort, as Google's OpenAI-compatible API maps them for Gemini 2.5 (read at second hand,
Portkey's documentation, 2026-11-23). Gemini 3 takes budgets too, though it prefers levels; Gemini 2.5 refuses levels,
and a line is translated without knowing the model."""
MOST_THINKING: Final = 24_576
"""The largest budget every thinking model takes: 2.5 Flash's (read at second hand, 2026-11-23)."""


def declare(hub: Hub, function: Json, schema_field: str, pointer: str) -> None:
    """Add a function's declaration, or refuse the line; its schema stays JSON Schema."""
    declaration: Json = {"name": word_of(function, "name", pointer)}
    if function.get("description") is not None:
        declaration["description"] = text_of(
            function["description"], join(pointer, "description")
        )
    checked(
        fields.REQUEST["tools"],
        [{"functionDeclarations": [declaration]}],
        pointer,
        at=join(pointer, "name"),
    )
    schema = function.get(schema_field)
    if schema is not None and schema != {}:
        here = join(pointer, schema_field)
        declaration["parametersJsonSchema"] = checked(
            fields.CONFIG["responseJsonSchema"], object_of(schema, here), here
        )
    if not (hub.tools and "functionDeclarations" in hub.tools[0]):
        hub.tools.insert(0, {"functionDeclarations": []})
    hub.tools[0]["functionDeclarations"].append(declaration)


def use(hub: Hub, tool: str, pointer: str) -> None:
    """Add one of Gemini's own tools in place of another vendor's."""
    hub.tools.append({tool: {}})
    warn(
        hub,
        Caution.APPROXIMATED,
        pointer,
        f"Gemini's {tool} takes the place of this tool.",
    )


def choose(hub: Hub, mode: str, names: list[str] | None = None) -> None:
    """Set whether functions are called: AUTO, ANY, NONE; `names` limits ANY."""
    config: Json = {"mode": mode}
    if names:
        config["allowedFunctionNames"] = names
    hub.tool_config = {"functionCallingConfig": config}


def call(
    hub: Hub, identity: str | None, name: str, arguments: Json, *, first: bool
) -> Json:
    """Return a call another model made as a part; the first of a turn carries the signature's stand-in."""
    part: Json = {"functionCall": {"name": name, "args": arguments}}
    if identity:
        hub.calls[identity] = name
        part["functionCall"]["id"] = identity
    if first:
        part["thoughtSignature"] = FOREIGN_CALL
    return part


def arguments_of(value: Any, pointer: str) -> Json:
    """Return a call's arguments, JSON in a string, or refuse the line."""
    text = text_of(value, pointer)
    return object_of(loads(text.encode(), pointer), pointer) if text else {}


def called_name(hub: Hub, identity: str, pointer: str) -> str:
    """Return the name of the function a result belongs to, or refuse the line."""
    if identity not in hub.calls:
        refuse(
            Code.MISSING_FIELD,
            pointer,
            "No call before this one has this id.",
            "Put the call before its result.",
        )
    return hub.calls[identity]


def result(
    identity: str | None, name: str, parts: list[Json], *, failed: bool = False
) -> list[Json]:
    """Return a function's result as parts: its text as `output` or `error`, media after it."""
    text = "".join(part.get("text", "") for part in parts)
    response: Json = {"name": name, "response": {"error" if failed else "output": text}}
    if identity:
        response["id"] = identity
    return [
        {"functionResponse": response},
        *(part for part in parts if "text" not in part),
    ]


def answer_as_json(hub: Hub, schema: Any, description: Any, pointer: str) -> None:
    """Ask for JSON, of a schema if there is one; a format's description becomes the schema's."""
    put(hub, "responseMimeType", "application/json", pointer)
    if schema is None:
        return
    body = object_of(schema, pointer)
    if isinstance(description, str) and "description" not in body:
        body = {"description": description, **body}
    put(hub, "responseJsonSchema", body, pointer)


def think(hub: Hub, effort: Any, pointer: str) -> None:
    """Translate a word of effort into a thinking budget, unless the line sets one already."""
    word = text_of(effort, pointer)
    if word in ("xhigh", "max"):
        warn(
            hub,
            Caution.APPROXIMATED,
            pointer,
            "The largest budget all models take is used.",
        )
        word = "high"
    if word not in BUDGETS:
        refuse(
            Code.BAD_ENUM,
            pointer,
            f"The value must be one of {', '.join(BUDGETS)}, xhigh, max.",
        )
    config = hub.config.setdefault("thinkingConfig", {})
    if "thinkingBudget" in config:
        warn(
            hub,
            Caution.IGNORED,
            pointer,
            "The field is left out: the line gives a thinking budget.",
        )
        return
    config["thinkingBudget"] = BUDGETS[word]
    if word == "none":
        warn(
            hub,
            Caution.APPROXIMATED,
            pointer,
            "Some models cannot leave out thinking and refuse this.",
        )


def limit_output(hub: Hub, pointer: str, small: int = 1024) -> None:
    """Warn of a small output limit when nothing is said about thinking."""
    if (
        hub.config.get("maxOutputTokens", small) < small
        and "thinkingConfig" not in hub.config
    ):
        message = "Gemini's thinking models count thoughts into this limit; a small one may leave no answer."
        warn(hub, Caution.TOKENS_INCLUDE_THOUGHTS, pointer, message)


def name_of(tool: Any, pointer: str) -> str:
    """Return the function a reference to a tool names, in either of OpenAI's forms, or refuse the line."""
    body = object_of(tool, pointer)
    if "function" not in body:
        return word_of(body, "name", pointer)
    return word_of(
        object_of(body["function"], join(pointer, "function")),
        "name",
        join(pointer, "function"),
    )
