"""Anthropic's messages as Gemini requests.

    system                  systemInstruction
    tool_use, tool_result   functionCall, functionResponse; an error becomes `error`, media follow the result
    thinking                thinkingConfig with thoughts included, as Anthropic includes them
    output_config.format    responseMimeType and responseJsonSchema
    temperature             0 to 1 there, 0 to 2 here; the value is kept, 1 is the usual one in both
    cache_control           left out with a warning: caching is decided for the upload
    a last assistant turn   refused: the answer would not continue it

Fields: anthropic 2.12.0, types/message_create_params.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from batchdrop.core.problem import Code
from batchdrop.dialects.foreign import functions, media
from batchdrop.dialects.foreign.settings import put, setting
from batchdrop.dialects.hub import (
    Block,
    Hub,
    Rule,
    add_system,
    add_turn,
    block_of,
    finished,
    ignored,
    ignored_unless,
    impossible,
    leftovers,
    list_of,
    needed,
    object_of,
    parts_of,
    read,
    refuse,
    text_block,
    wants,
    warn,
    word_of,
)
from batchdrop.dialects.line import Caution, Json


def translate(hub: Hub, body: Json, pointer: str) -> Json:
    """Return the Gemini request of a message, or refuse the line."""
    needed(body, "messages", pointer)
    read(hub, body, TABLE, pointer)
    functions.limit_output(hub, f"{pointer}/max_tokens")
    return finished(hub, f"{pointer}/messages")


# -------------------------------------------------------------------------------------------------- messages
def _system(hub: Hub, value: Any, pointer: str) -> None:
    add_system(hub, parts_of(hub, value, _TEXT_BLOCKS, pointer), pointer)


def _messages(hub: Hub, value: Any, pointer: str) -> None:
    for index, item in enumerate(list_of(value, pointer)):
        here = f"{pointer}/{index}"
        message = object_of(item, here)
        leftovers(hub, message, _MESSAGE, here)
        role = message.get("role")
        content = needed(message, "content", here)
        if role == "system":
            add_system(
                hub, parts_of(hub, content, _TEXT_BLOCKS, f"{here}/content"), here
            )
        elif role == "user":
            add_turn(hub, "user", _user(hub, content, f"{here}/content"), here)
        elif role == "assistant":
            add_turn(hub, "model", _assistant(hub, content, f"{here}/content"), here)
        else:
            refuse(Code.BAD_ENUM, f"{here}/role", "The role must be user or assistant.")
    if hub.contents and hub.contents[-1]["role"] == "model":
        fix = "End with a user message; for a fixed form of the answer use output_config.format."
        refuse(
            Code.NO_EQUIVALENT, pointer, "Gemini does not continue a begun answer.", fix
        )


def _user(hub: Hub, content: Any, pointer: str) -> list[Json]:
    """Return a user message's parts; a tool's result may be several."""
    if isinstance(content, str):
        return [{"text": content}]
    parts: list[Json] = []
    for index, item in enumerate(list_of(content, pointer)):
        here = f"{pointer}/{index}"
        block = object_of(item, here)
        if block.get("type") == "tool_result":
            parts += _result(hub, block, here)
        else:
            parts.append(block_of(hub, block, BLOCKS, here))
    return parts


def _result(hub: Hub, block: Json, pointer: str) -> list[Json]:
    leftovers(hub, block, _RESULT, pointer)
    identity = word_of(block, "tool_use_id", pointer)
    name = functions.called_name(hub, identity, f"{pointer}/tool_use_id")
    content = block.get("content")
    parts = parts_of(
        hub, "" if content is None else content, BLOCKS, f"{pointer}/content"
    )
    return functions.result(identity, name, parts, failed=block.get("is_error") is True)


def _assistant(hub: Hub, content: Any, pointer: str) -> list[Json]:
    """Return an assistant's parts, without its thinking, which only its own model can read."""
    if isinstance(content, str):
        return [{"text": content}]
    parts: list[Json] = []
    first = True
    for index, item in enumerate(list_of(content, pointer)):
        here = f"{pointer}/{index}"
        block = object_of(item, here)
        kind = block.get("type")
        if kind in ("thinking", "redacted_thinking"):
            warn(
                hub,
                Caution.IGNORED,
                here,
                "Another model's thinking means nothing to Gemini and is left out.",
            )
        elif kind == "tool_use":
            leftovers(hub, block, _USE, here)
            arguments = object_of(needed(block, "input", here), f"{here}/input")
            identity, name = word_of(block, "id", here), word_of(block, "name", here)
            parts.append(functions.call(hub, identity, name, arguments, first=first))
            first = False
        else:
            parts.append(block_of(hub, block, _TEXT_BLOCKS, here))
    return parts


# ----------------------------------------------------------------------------------------------------- media
def _image(hub: Hub, block: Json, pointer: str) -> Json:
    leftovers(hub, block, frozenset({"type", "source"}), pointer)
    return _sourced(hub, block, pointer, media.IMAGE)


def _document(hub: Hub, block: Json, pointer: str) -> Json:
    leftovers(hub, block, frozenset({"type", "source", "title", "context"}), pointer)
    for name in ("title", "context"):
        if block.get(name) is not None:
            warn(
                hub,
                Caution.IGNORED,
                f"{pointer}/{name}",
                "The field is left out: write it beside the document.",
            )
    return _sourced(hub, block, pointer, media.DOCUMENT)


def _sourced(hub: Hub, block: Json, pointer: str, default: str) -> Json:
    here = f"{pointer}/source"
    source = object_of(needed(block, "source", pointer), here)
    kind = word_of(source, "type", here)
    leftovers(hub, source, _SOURCE, here)
    if kind == "base64":
        return media.inline(
            word_of(source, "data", here),
            word_of(source, "media_type", here),
            f"{here}/data",
        )
    if kind == "url":
        return media.by_address(
            hub, word_of(source, "url", here), f"{here}/url", default
        )
    if kind == "text":
        return {"text": word_of(source, "data", here)}
    if kind != "content":
        fix = "Give the bytes as base64, or an address."
        refuse(
            Code.NO_EQUIVALENT,
            f"{here}/type",
            "Gemini cannot read a source of this kind.",
            fix,
        )
    parts = parts_of(
        hub, needed(source, "content", here), _TEXT_BLOCKS, f"{here}/content"
    )
    return {"text": "".join(part["text"] for part in parts)}


# -------------------------------------------------------------------------------------------------- settings
def _thinking(hub: Hub, value: Any, pointer: str) -> None:
    body = object_of(value, pointer)
    leftovers(hub, body, frozenset({"type", "budget_tokens", "display"}), pointer)
    kind = word_of(body, "type", pointer)
    config: Json = {"includeThoughts": body.get("display") != "omitted"}
    if kind == "disabled":
        config = {"thinkingBudget": 0}
        warn(
            hub,
            Caution.APPROXIMATED,
            f"{pointer}/type",
            "Some models cannot leave out thinking and refuse this.",
        )
    elif kind == "enabled":
        config["thinkingBudget"] = _budget(
            hub, needed(body, "budget_tokens", pointer), f"{pointer}/budget_tokens"
        )
    elif kind != "adaptive":
        refuse(
            Code.NO_EQUIVALENT,
            f"{pointer}/type",
            "Gemini does not think this way.",
            "Use enabled or disabled.",
        )
    put(hub, "thinkingConfig", config, pointer)


def _budget(hub: Hub, value: Any, pointer: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        refuse(Code.WRONG_TYPE, pointer, "The value must be a whole number above zero.")
    if value > functions.MOST_THINKING:
        warn(
            hub,
            Caution.APPROXIMATED,
            pointer,
            "The largest budget all models take is used.",
        )
    return min(value, functions.MOST_THINKING)


def _output_config(hub: Hub, value: Any, pointer: str) -> None:
    body = object_of(value, pointer)
    leftovers(hub, body, frozenset({"effort", "format"}), pointer)
    if body.get("effort") is not None:
        functions.think(hub, body["effort"], f"{pointer}/effort")
    if body.get("format") is not None:
        _format(hub, body["format"], f"{pointer}/format")


def _format(hub: Hub, value: Any, pointer: str) -> None:
    body = object_of(value, pointer)
    if word_of(body, "type", pointer) != "json_schema":
        refuse(Code.NO_EQUIVALENT, f"{pointer}/type", "The format must be json_schema.")
    leftovers(hub, body, frozenset({"type", "schema"}), pointer)
    functions.answer_as_json(
        hub, needed(body, "schema", pointer), None, f"{pointer}/schema"
    )


def _tools(hub: Hub, value: Any, pointer: str) -> None:
    for index, item in enumerate(list_of(value, pointer)):
        here = f"{pointer}/{index}"
        tool = object_of(item, here)
        kind = tool.get("type") or "custom"
        own = next(
            (
                ours
                for theirs, ours in _OWN_TOOLS.items()
                if str(kind).startswith(theirs)
            ),
            None,
        )
        if kind == "custom":
            leftovers(hub, tool, _DECLARATION, here)
            functions.declare(hub, tool, "input_schema", here)
        elif own is not None:
            functions.use(hub, own, here)
        else:
            refuse(
                Code.NO_EQUIVALENT,
                f"{here}/type",
                "Gemini has no such tool in a batch.",
            )


def _tool_choice(hub: Hub, value: Any, pointer: str) -> None:
    body = object_of(value, pointer)
    kind = word_of(body, "type", pointer)
    if kind not in _MODES:
        refuse(
            Code.BAD_ENUM,
            f"{pointer}/type",
            f"The type must be one of {', '.join(_MODES)}.",
        )
    if body.get("disable_parallel_tool_use"):
        here = f"{pointer}/disable_parallel_tool_use"
        warn(
            hub,
            Caution.IGNORED,
            here,
            "The field is left out: Gemini decides how many functions it calls at once.",
        )
    functions.choose(
        hub,
        _MODES[kind],
        [word_of(body, "name", pointer)] if kind == "tool" else None,
    )


_MESSAGE: Final = frozenset({"role", "content"})
_RESULT: Final = frozenset({"type", "tool_use_id", "content", "is_error"})
_SOURCE: Final = frozenset({"type", "media_type", "data", "url", "content", "file_id"})
_USE: Final = frozenset({"type", "id", "name", "input"})
_DECLARATION: Final = frozenset({"type", "name", "description", "input_schema"})
_MODES: Final = {"auto": "AUTO", "any": "ANY", "tool": "ANY", "none": "NONE"}
_OWN_TOOLS: Final = {
    "web_search": "googleSearch",
    "web_fetch": "urlContext",
    "code_execution": "codeExecution",
}
_TEXT_BLOCKS: Final[Mapping[str, Block]] = {
    "text": text_block(frozenset({"type", "text"}))
}
BLOCKS: Final[Mapping[str, Block]] = {
    **_TEXT_BLOCKS,
    "image": _image,
    "document": _document,
}
_CACHING: Final = ignored("caching is decided for the upload")
TABLE: Final[Mapping[str, Rule]] = {
    "system": _system,
    "messages": _messages,
    "model": wants,
    "max_tokens": setting("maxOutputTokens"),
    "temperature": setting("temperature"),
    "top_k": setting("topK"),
    "top_p": setting("topP"),
    "stop_sequences": setting("stopSequences"),
    "thinking": _thinking,
    "output_config": _output_config,
    "output_format": _format,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "cache_control": _CACHING,
    "metadata": ignored("Gemini takes no user"),
    "service_tier": ignored("a batch has one tier"),
    "speed": ignored("a batch has one speed"),
    "stream": ignored_unless(False, "a batch is not streamed"),
    "context_management": ignored("Gemini refuses a prompt that is too long"),
    "diagnostics": ignored("it is for Anthropic's caches"),
    "user_profile_id": ignored("Gemini takes no user"),
    "workspace_id": ignored("it is Anthropic's"),
    "container": impossible("It refers to something stored with Anthropic."),
    "mcp_servers": impossible("A batch of Gemini's cannot call MCP servers."),
    "inference_geo": impossible(
        "Where the answer is made cannot be chosen for a request."
    ),
}
