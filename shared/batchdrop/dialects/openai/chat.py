"""OpenAI's chat completions as Gemini requests.

    system, developer      systemInstruction (moved to the front, with a warning when it stood elsewhere)
    user, assistant        contents of role user, model; neighbouring tool messages become one user turn
    temperature            0 to 2 in both APIs
    response_format        responseMimeType and responseJsonSchema; its name and `strict` mean nothing to Gemini
    tools, functions       functionDeclarations with JSON Schema as it stands

Fields: openai 3.54.0, types/chat/completion_create_params.py.
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
    wants,
    warn,
    word_of,
)
from batchdrop.dialects.line import Caution, Json


def translate(hub: Hub, body: Json, pointer: str) -> Json:
    """Return the Gemini request of a chat completion, or refuse the line."""
    needed(body, "messages", pointer)
    read(hub, body, TABLE, pointer)
    functions.limit_output(
        hub,
        f"{pointer}/{'max_tokens' if 'max_tokens' in body else 'max_completion_tokens'}",
    )
    return finished(hub, f"{pointer}/messages")


# -------------------------------------------------------------------------------------------------- messages
def _messages(hub: Hub, value: Any, pointer: str) -> None:
    for index, item in enumerate(list_of(value, pointer)):
        here = f"{pointer}/{index}"
        message = object_of(item, here)
        role = message.get("role")
        reader = _ROLES.get(role) if isinstance(role, str) else None
        if reader is None:
            refuse(
                Code.BAD_ENUM,
                f"{here}/role",
                f"The role must be one of {', '.join(_ROLES)}.",
            )
        reader(hub, message, here)
    if hub.contents and hub.contents[-1]["role"] == "model":
        warn(
            hub,
            Caution.APPROXIMATED,
            pointer,
            "The last message is the assistant's; Gemini may continue it.",
        )


def _system(hub: Hub, message: Json, pointer: str) -> None:
    leftovers(hub, message, _MESSAGE, pointer)
    content = needed(message, "content", pointer)
    add_system(hub, parts_of(hub, content, BLOCKS, f"{pointer}/content"), pointer)


def _user(hub: Hub, message: Json, pointer: str) -> None:
    leftovers(hub, message, _MESSAGE, pointer)
    content = needed(message, "content", pointer)
    add_turn(hub, "user", parts_of(hub, content, BLOCKS, f"{pointer}/content"), pointer)


def _assistant(hub: Hub, message: Json, pointer: str) -> None:
    leftovers(hub, message, _ASSISTANT, pointer)
    parts: list[Json] = []
    if message.get("content"):
        parts += parts_of(hub, message["content"], BLOCKS, f"{pointer}/content")
    if message.get("refusal"):
        parts.append({"text": text_of(message["refusal"], f"{pointer}/refusal")})
    for index, item in enumerate(
        list_of(message.get("tool_calls") or [], f"{pointer}/tool_calls")
    ):
        here = f"{pointer}/tool_calls/{index}"
        entry = object_of(item, here)
        leftovers(hub, entry, _CALL, here)
        parts.append(
            _call(hub, word_of(entry, "id", here), entry, here, first=index == 0)
        )
    if message.get("function_call"):
        parts.append(
            _call(
                hub, None, {"function": message["function_call"]}, pointer, first=True
            )
        )
    add_turn(hub, "model", parts, pointer)


def _call(
    hub: Hub, identity: str | None, entry: Json, pointer: str, *, first: bool
) -> Json:
    if entry.get("type", "function") != "function":
        refuse(
            Code.NO_EQUIVALENT,
            f"{pointer}/type",
            "Gemini knows calls of functions only.",
        )
    here = f"{pointer}/function"
    function = object_of(needed(entry, "function", pointer), here)
    arguments = functions.arguments_of(
        needed(function, "arguments", here), f"{here}/arguments"
    )
    return functions.call(
        hub, identity, word_of(function, "name", here), arguments, first=first
    )


def _tool(hub: Hub, message: Json, pointer: str) -> None:
    leftovers(hub, message, _TOOL, pointer)
    identity = word_of(message, "tool_call_id", pointer)
    name = functions.called_name(hub, identity, f"{pointer}/tool_call_id")
    _result(hub, identity, name, message, pointer)


def _function(hub: Hub, message: Json, pointer: str) -> None:
    leftovers(hub, message, _NAMED, pointer)
    _result(hub, None, word_of(message, "name", pointer), message, pointer)


def _result(
    hub: Hub, identity: str | None, name: str, message: Json, pointer: str
) -> None:
    """Add a function's result; results beside each other are one turn, as Gemini wants one turn's calls answered."""
    content = needed(message, "content", pointer)
    parts = functions.result(
        identity, name, parts_of(hub, content, BLOCKS, f"{pointer}/content")
    )
    last: list[Json] = hub.contents[-1]["parts"] if hub.contents else []
    if last and "functionResponse" in last[0]:
        last += parts
    else:
        add_turn(hub, "user", parts, pointer)


# --------------------------------------------------------------------------------------------- content parts
def _image(hub: Hub, block: Json, pointer: str) -> Json:
    leftovers(hub, block, frozenset({"type", "image_url"}), pointer)
    here = f"{pointer}/image_url"
    image = object_of(needed(block, "image_url", pointer), here)
    leftovers(hub, image, frozenset({"url", "detail"}), here)
    if image.get("detail", "auto") not in ("auto", None):
        warn(
            hub,
            Caution.IGNORED,
            f"{here}/detail",
            "The field is left out: Gemini chooses the resolution.",
        )
    return media.by_address(
        hub, word_of(image, "url", here), f"{here}/url", media.IMAGE
    )


def _audio(hub: Hub, block: Json, pointer: str) -> Json:
    leftovers(hub, block, frozenset({"type", "input_audio"}), pointer)
    here = f"{pointer}/input_audio"
    audio = object_of(needed(block, "input_audio", pointer), here)
    leftovers(hub, audio, frozenset({"data", "format"}), here)
    return media.inline(
        word_of(audio, "data", here),
        f"audio/{word_of(audio, 'format', here)}",
        f"{here}/data",
    )


def _file(hub: Hub, block: Json, pointer: str) -> Json:
    leftovers(hub, block, frozenset({"type", "file"}), pointer)
    here = f"{pointer}/file"
    file = object_of(needed(block, "file", pointer), here)
    leftovers(hub, file, frozenset({"file_id", "file_data", "filename"}), here)
    return file_part(hub, file, here)


def file_part(hub: Hub, file: Json, pointer: str) -> Json:
    """Return a file's bytes as a part, or refuse the line: a file_id means nothing to Gemini."""
    if file.get("file_id") is not None:
        message = "The file lies with OpenAI; Gemini cannot read it."
        refuse(
            Code.NO_EQUIVALENT,
            f"{pointer}/file_id",
            message,
            "Give the bytes in file_data, or an address.",
        )
    data, name = word_of(file, "file_data", pointer), file.get("filename")
    default = (media.by_name(name) if isinstance(name, str) else None) or media.DOCUMENT
    if data.startswith("data:"):
        return media.by_address(hub, data, f"{pointer}/file_data", default)
    return media.inline(data, default, f"{pointer}/file_data")


# -------------------------------------------------------------------------------------------------- settings
def _stop(hub: Hub, value: Any, pointer: str) -> None:
    put(hub, "stopSequences", [value] if isinstance(value, str) else value, pointer)


def _seed(hub: Hub, value: Any, pointer: str) -> None:
    if isinstance(value, int) and abs(value) >= 2**31:
        warn(
            hub,
            Caution.APPROXIMATED,
            pointer,
            "Gemini's seed has 32 bits; the lower ones are used.",
        )
        value &= 2**31 - 1
    put(hub, "seed", value, pointer)


def _logit_bias(hub: Hub, value: Any, pointer: str) -> None:
    """A bias of 100 or -100 forces or bans a token, so the answer hangs on it; a smaller one is a nudge."""
    biases = object_of(value, pointer)
    if any(
        isinstance(bias, (int, float)) and abs(bias) >= 100 for bias in biases.values()
    ):
        fix = "Use response_format with a JSON schema whose enum holds the allowed answers."
        refuse(Code.NO_EQUIVALENT, pointer, "Gemini cannot force or ban tokens.", fix)
    if biases:
        warn(
            hub,
            Caution.IGNORED,
            pointer,
            "The field is left out: tokens are not the same with Gemini.",
        )


def _response_format(hub: Hub, value: Any, pointer: str) -> None:
    body = object_of(value, pointer)
    kind = word_of(body, "type", pointer)
    if kind == "json_object":
        functions.answer_as_json(hub, None, None, pointer)
    elif kind == "json_schema":
        here = f"{pointer}/json_schema"
        form = object_of(needed(body, "json_schema", pointer), here)
        leftovers(hub, form, _FORM, here)
        functions.answer_as_json(
            hub, form.get("schema"), form.get("description"), f"{here}/schema"
        )
    elif kind != "text":
        refuse(
            Code.NO_EQUIVALENT,
            f"{pointer}/type",
            "The format must be text, json_object or json_schema.",
        )


def _modalities(hub: Hub, value: Any, pointer: str) -> None:
    if value != ["text"]:
        refuse(Code.NO_EQUIVALENT, pointer, "A translated request is answered in text.")


def _tools(hub: Hub, value: Any, pointer: str) -> None:
    for index, item in enumerate(list_of(value, pointer)):
        here = f"{pointer}/{index}"
        tool = object_of(item, here)
        if word_of(tool, "type", here) != "function":
            refuse(
                Code.NO_EQUIVALENT,
                f"{here}/type",
                "Gemini knows tools that are functions only.",
            )
        _declare(hub, needed(tool, "function", here), f"{here}/function")


def _functions(hub: Hub, value: Any, pointer: str) -> None:
    for index, item in enumerate(list_of(value, pointer)):
        _declare(hub, item, f"{pointer}/{index}")


def _declare(hub: Hub, value: Any, pointer: str) -> None:
    function = object_of(value, pointer)
    leftovers(hub, function, _DECLARATION, pointer)
    functions.declare(hub, function, "parameters", pointer)


def tool_choice(hub: Hub, value: Any, pointer: str) -> None:
    """Set the mode of calling: none, auto, required, one function, or a required choice among some."""
    if isinstance(value, str):
        if value not in _MODES:
            refuse(
                Code.BAD_ENUM,
                pointer,
                f"The value must be one of {', '.join(_MODES)}, or name a function.",
            )
        functions.choose(hub, _MODES[value])
        return
    choice = object_of(value, pointer)
    kind = choice.get("type", "function")
    if kind == "function":
        functions.choose(hub, "ANY", [functions.name_of(choice, pointer)])
        return
    allowed = object_of(choice.get("allowed_tools", choice), pointer)
    if kind != "allowed_tools" or allowed.get("mode") != "required":
        fix = "Use none, auto, required or a function; or list only the allowed tools."
        refuse(Code.NO_EQUIVALENT, pointer, "Gemini cannot choose tools this way.", fix)
    tools = list_of(allowed.get("tools"), pointer)
    functions.choose(hub, "ANY", [functions.name_of(tool, pointer) for tool in tools])


def _web_search(hub: Hub, value: Any, pointer: str) -> None:
    functions.use(hub, "googleSearch", pointer)


_MESSAGE: Final = frozenset({"role", "content"})
_NAMED: Final = _MESSAGE | {"name"}
_TOOL: Final = _MESSAGE | {"tool_call_id"}
_ASSISTANT: Final = _MESSAGE | {"tool_calls", "refusal", "function_call"}
_FORM: Final = frozenset({"name", "description", "schema", "strict"})
_CALL: Final = frozenset({"id", "type", "function", "index"})
_DECLARATION: Final = frozenset({"name", "description", "parameters"})
_ROLES: Final = {
    "system": _system,
    "developer": _system,
    "user": _user,
    "assistant": _assistant,
    "tool": _tool,
    "function": _function,
}
_MODES: Final = {"none": "NONE", "auto": "AUTO", "required": "ANY"}


def _refusal(hub: Hub, block: Json, pointer: str) -> Json:
    return {"text": word_of(block, "refusal", pointer)}


BLOCKS: Final[Mapping[str, Block]] = {
    "text": text_block(frozenset({"type", "text"})),
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "refusal": _refusal,
}
COMMON: Final[Mapping[str, Rule]] = {
    "model": wants,
    "temperature": setting("temperature"),
    "top_p": setting("topP"),
    "parallel_tool_calls": ignored_unless(
        True, "Gemini decides how many functions it calls at once"
    ),
    "stream": ignored_unless(False, "a batch is not streamed"),
    "stream_options": ignored("a batch is not streamed"),
    "metadata": ignored("results hold the key, not the metadata"),
    "store": ignored_unless(False, "nothing is stored with the provider"),
    "service_tier": ignored("a batch has one tier"),
    "user": ignored("Gemini takes no user"),
    "safety_identifier": ignored("Gemini takes no user"),
    "prompt_cache_key": ignored("caching is decided for the upload"),
    "prompt_cache_retention": ignored("caching is decided for the upload"),
    "prompt_cache_options": ignored("caching is decided for the upload"),
    "moderation": impossible(
        "Gemini moderates by its own settings.", "Remove the field."
    ),
}
"""What chat completions and responses share."""
TABLE: Final[Mapping[str, Rule]] = {
    "messages": _messages,
    **COMMON,
    "max_tokens": setting("maxOutputTokens"),
    "max_completion_tokens": setting("maxOutputTokens"),
    "n": setting("candidateCount"),
    "stop": _stop,
    "seed": _seed,
    "presence_penalty": setting("presencePenalty"),
    "frequency_penalty": setting("frequencyPenalty"),
    "logprobs": setting("responseLogprobs"),
    "top_logprobs": setting("logprobs"),
    "reasoning_effort": functions.think,
    "response_format": _response_format,
    "tools": _tools,
    "functions": _functions,
    "tool_choice": tool_choice,
    "function_call": tool_choice,
    "web_search_options": _web_search,
    "logit_bias": _logit_bias,
    "modalities": _modalities,
    "audio": impossible("A translated request is answered in text."),
    "prediction": ignored("Gemini takes no predicted answer; it only saves time"),
    "verbosity": ignored_unless(
        "medium", "ask for short or long answers in the prompt"
    ),
}
