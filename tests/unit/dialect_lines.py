"""Lines for the tests of the dialects, and what became of them."""

from __future__ import annotations

from typing import Any

import msgspec

from batchdrop.core.problem import Problem
from batchdrop.dialects.gemini import language as gemini
from batchdrop.dialects.gemini.check import check_request
from batchdrop.dialects.known.translate import translate
from batchdrop.dialects.line import LineForm, Translated

Json = dict[str, Any]
USER = [{"role": "user", "content": "Hello"}]


def openai(url: str = "/v1/chat/completions", **body: Any) -> Translated | Problem:
    """Translate an OpenAI line."""
    line = {"custom_id": "a", "method": "POST", "url": url, "body": {"model": "gpt-4o", **body}}
    return translate(gemini, LineForm.OPENAI, msgspec.json.encode(line))


def chat(**body: Any) -> Translated | Problem:
    """Translate a chat completion that says hello, or the messages given."""
    fields: Json = {"messages": USER} | body
    return openai(**fields)


def anthropic(**params: Any) -> Translated | Problem:
    """Translate a message that says hello, or the messages given."""
    line = {"custom_id": "a", "params": {"model": "claude", "max_tokens": 2000, "messages": USER} | params}
    return translate(gemini, LineForm.ANTHROPIC, msgspec.json.encode(line))


def request(found: Translated | Problem) -> Json:
    """The valid request a line became."""
    assert isinstance(found, Translated), found
    body: Json = msgspec.json.decode(found.request)
    assert check_request(body)[2] == []
    return body


def config(found: Translated | Problem) -> Json:
    """The generation settings a line became."""
    return request(found).get("generationConfig", {})


def contents(found: Translated | Problem) -> list[tuple[str, list[Json]]]:
    """The turns a line became."""
    return [(turn["role"], turn["parts"]) for turn in request(found)["contents"]]


def warned(found: Translated | Problem) -> list[tuple[str, str]]:
    """The warnings' codes and pointers."""
    request(found)
    assert isinstance(found, Translated)
    return [(caveat.code.value, caveat.pointer) for caveat in found.warnings]


def refused(found: Translated | Problem) -> tuple[str, str]:
    """The problem's code and pointer."""
    assert isinstance(found, Problem), found
    assert found.message
    assert found.advice()
    return found.code.value, found.pointer
