"""OpenAI's responses as Gemini requests.

    instructions             systemInstruction, before the system messages of the input
    input                    a string, or messages, function calls and their outputs
    text.format              responseMimeType and responseJsonSchema
    reasoning                thinkingConfig; a summary asks for thoughts
    previous_response_id     refused, as all that refers to things stored with OpenAI

Fields: openai 3.54.0, types/responses/response_create_params.py.
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
    text_of,
    warn,
    word_of,
)
from batchdrop.dialects.line import Caution, Json
from batchdrop.dialects.openai.chat import COMMON, file_part, tool_choice


def translate(hub: Hub, body: Json, pointer: str) -> Json:
    """Return the Gemini request of a response, or refuse the line."""
    needed(body, "input", pointer)
    read(hub, body, TABLE, pointer)
    functions.limit_output(hub, f"{pointer}/max_output_tokens")
    return finished(hub, f"{pointer}/input")


# ----------------------------------------------------------------------------------------------------- input
def _instructions(hub: Hub, value: Any, pointer: str) -> None:
    add_system(hub, [{"text": text_of(value, pointer)}], pointer)


def _input(hub: Hub, value: Any, pointer: str) -> None:
    if isinstance(value, str):
        add_turn(hub, "user", [{"text": value}], pointer)
        return
    for index, item in enumerate(list_of(value, pointer)):
        here = f"{pointer}/{index}"
        entry = object_of(item, here)
        kind = entry.get("type", "message")
        reader = _ITEMS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            message = "Gemini has no equivalent of this kind of item."
            refuse(
                Code.NO_EQUIVALENT, f"{here}/type", message, f"Use {', '.join(_ITEMS)}."
            )
        reader(hub, entry, here)


def _message(hub: Hub, item: Json, pointer: str) -> None:
    leftovers(hub, item, _MESSAGE, pointer)
    role = word_of(item, "role", pointer)
    parts = parts_of(
        hub, needed(item, "content", pointer), BLOCKS, f"{pointer}/content"
    )
    if role in ("system", "developer"):
        add_system(hub, parts, pointer)
    elif role in ("user", "assistant"):
        add_turn(hub, "user" if role == "user" else "model", parts, pointer)
    else:
        refuse(
            Code.BAD_ENUM,
            f"{pointer}/role",
            "The role must be one of system, developer, user, assistant.",
        )


def _call(hub: Hub, item: Json, pointer: str) -> None:
    """Add a call to the model's turn; calls beside each other belong to one turn, as they were made."""
    leftovers(hub, item, _CALL, pointer)
    arguments = functions.arguments_of(
        needed(item, "arguments", pointer), f"{pointer}/arguments"
    )
    identity, name = word_of(item, "call_id", pointer), word_of(item, "name", pointer)
    last = hub.contents[-1] if hub.contents else None
    if last and last["role"] == "model":
        first = all("functionCall" not in part for part in last["parts"])
        last["parts"].append(
            functions.call(hub, identity, name, arguments, first=first)
        )
    else:
        add_turn(
            hub,
            "model",
            [functions.call(hub, identity, name, arguments, first=True)],
            pointer,
        )


def _output(hub: Hub, item: Json, pointer: str) -> None:
    leftovers(hub, item, _OUTPUT, pointer)
    identity = word_of(item, "call_id", pointer)
    name = functions.called_name(hub, identity, f"{pointer}/call_id")
    content = parts_of(
        hub, needed(item, "output", pointer), BLOCKS, f"{pointer}/output"
    )
    parts = functions.result(identity, name, content)
    last = hub.contents[-1]["parts"]
    if "functionResponse" in last[0]:
        last += parts
    else:
        add_turn(hub, "user", parts, pointer)


def _reasoning(hub: Hub, item: Json, pointer: str) -> None:
    warn(
        hub,
        Caution.IGNORED,
        pointer,
        "Another model's reasoning means nothing to Gemini and is left out.",
    )


# ------------------------------------------------------------------------------------------------------ parts
def _image(hub: Hub, block: Json, pointer: str) -> Json:
    leftovers(
        hub, block, frozenset({"type", "image_url", "file_id", "detail"}), pointer
    )
    if block.get("detail", "auto") not in ("auto", None):
        warn(
            hub,
            Caution.IGNORED,
            f"{pointer}/detail",
            "The field is left out: Gemini chooses the resolution.",
        )
    if block.get("file_id") is not None:
        return file_part(hub, block, pointer)
    return media.by_address(
        hub, word_of(block, "image_url", pointer), f"{pointer}/image_url", media.IMAGE
    )


def _file(hub: Hub, block: Json, pointer: str) -> Json:
    leftovers(
        hub,
        block,
        frozenset({"type", "file_id", "file_data", "file_url", "filename"}),
        pointer,
    )
    if block.get("file_url") is not None and block.get("file_id") is None:
        return media.by_address(
            hub,
            word_of(block, "file_url", pointer),
            f"{pointer}/file_url",
            media.DOCUMENT,
        )
    return file_part(hub, block, pointer)


def _refusal(hub: Hub, block: Json, pointer: str) -> Json:
    return {"text": word_of(block, "refusal", pointer)}


# ---------------------------------------------------------------------------------------------------- settings
def _text(hub: Hub, value: Any, pointer: str) -> None:
    body = object_of(value, pointer)
    leftovers(hub, body, frozenset({"format", "verbosity"}), pointer)
    if body.get("verbosity", "medium") not in ("medium", None):
        warn(
            hub,
            Caution.IGNORED,
            f"{pointer}/verbosity",
            "Ask for short or long answers in the prompt.",
        )
    if body.get("format") is None:
        return
    here = f"{pointer}/format"
    form = object_of(body["format"], here)
    kind = word_of(form, "type", here)
    leftovers(
        hub,
        form,
        frozenset({"type", "name", "description", "schema", "strict"}),
        here,
    )
    if kind in ("json_object", "json_schema"):
        functions.answer_as_json(
            hub, form.get("schema"), form.get("description"), f"{here}/schema"
        )
    elif kind != "text":
        refuse(
            Code.NO_EQUIVALENT,
            f"{here}/type",
            "The format must be text, json_object or json_schema.",
        )


def _thinking(hub: Hub, value: Any, pointer: str) -> None:
    body = object_of(value, pointer)
    leftovers(hub, body, frozenset({"effort", "summary", "generate_summary"}), pointer)
    if body.get("effort") is not None:
        functions.think(hub, body["effort"], f"{pointer}/effort")
    if body.get("summary") or body.get("generate_summary"):
        hub.config.setdefault("thinkingConfig", {})["includeThoughts"] = True


def _tools(hub: Hub, value: Any, pointer: str) -> None:
    for index, item in enumerate(list_of(value, pointer)):
        here = f"{pointer}/{index}"
        tool = object_of(item, here)
        kind = word_of(tool, "type", here)
        if kind == "function":
            leftovers(hub, tool, _DECLARATION, here)
            functions.declare(hub, tool, "parameters", here)
        elif kind.startswith("web_search"):
            functions.use(hub, "googleSearch", here)
        elif kind == "code_interpreter":
            functions.use(hub, "codeExecution", here)
        else:
            refuse(
                Code.NO_EQUIVALENT,
                f"{here}/type",
                "Gemini has no such tool in a batch.",
            )


def _include(hub: Hub, value: Any, pointer: str) -> None:
    for index, word in enumerate(list_of(value, pointer)):
        if word == "message.output_text.logprobs":
            put(hub, "responseLogprobs", True, pointer)
        else:
            warn(
                hub,
                Caution.IGNORED,
                f"{pointer}/{index}",
                "The answer has no such part.",
            )


_STORED: Final = impossible(
    "It refers to something stored with OpenAI.",
    "Put the whole conversation into input.",
)
_MESSAGE: Final = frozenset({"type", "role", "content", "id", "status"})
_CALL: Final = frozenset({"type", "id", "call_id", "name", "arguments", "status"})
_OUTPUT: Final = frozenset({"type", "id", "call_id", "name", "output", "status"})
_DECLARATION: Final = frozenset({"type", "name", "description", "parameters"})
_ITEMS: Final = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "reasoning": _reasoning,
}
_TEXT: Final = text_block(frozenset({"type", "text", "annotations", "logprobs"}))
BLOCKS: Final[Mapping[str, Block]] = {
    "input_text": _TEXT,
    "output_text": _TEXT,
    "input_image": _image,
    "input_file": _file,
    "refusal": _refusal,
}
TABLE: Final[Mapping[str, Rule]] = {
    "instructions": _instructions,
    "input": _input,
    **COMMON,
    "max_output_tokens": setting("maxOutputTokens"),
    "top_logprobs": setting("logprobs"),
    "text": _text,
    "reasoning": _thinking,
    "tools": _tools,
    "tool_choice": tool_choice,
    "include": _include,
    "max_tool_calls": ignored("Gemini takes no limit of calls"),
    "truncation": ignored_unless(
        "disabled", "Gemini refuses a prompt that is too long"
    ),
    "background": ignored("a batch is always in the background"),
    "background_options": ignored("a batch is always in the background"),
    "access_programs": ignored("it is for OpenAI's models"),
    "image": ignored("Gemini chooses how it reads images"),
    "context_management": ignored("Gemini refuses a prompt that is too long"),
    "previous_response_id": _STORED,
    "conversation": _STORED,
    "prompt": _STORED,
}
