"""Token counts that agree with one another: characters / 4 rounded up, fixed counts for media.

totalTokenCount = promptTokenCount + candidatesTokenCount + thoughtsTokenCount
promptTokenCount includes cachedContentTokenCount          (real output: wire facts, section 5.3)
"""

from __future__ import annotations

from typing import Final

import msgspec

from batchdrop_local.emulators.gemini.requests import Request, parts_of

MEDIA_TOKENS: Final = {"IMAGE": 258, "DOCUMENT": 258, "AUDIO": 320, "VIDEO": 2630}
"""Per part: an image tile or page has 258 tokens, audio 32 a second, video 263 a second (ten seconds assumed;
ai.google.dev/gemini-api/docs/tokens, read 2026-08)."""
IMAGE_TOKENS: Final = 1290
"""An answered image of up to 1024 x 1024 (ai.google.dev/gemini-api/docs/pricing, gemini-2.5-flash-image)."""


class Prompt(msgspec.Struct, frozen=True):
    """The tokens of a prompt; `cached` are those of the cache it names, or of an implicit one inside `text`."""

    text: int
    media: tuple[tuple[str, int], ...] = ()
    cached: int = 0
    implicit: bool = False

    @property
    def total(self) -> int:
        """All tokens of the prompt."""
        extra = sum([count for _, count in self.media]) if self.media else 0
        return self.text + extra + (0 if self.implicit else self.cached)


def tokens(text: str) -> int:
    """Count the tokens of a text."""
    return -(-len(text) // 4)


def prompt_of(request: Request, cached: int = 0) -> Prompt:
    """Count the tokens of a request, system instruction included."""
    text = 0
    media: dict[str, int] = {}
    parts = request.parts()
    if system := request.system:
        parts = parts + parts_of(system)
    for part in parts:
        if part.text:
            text -= -len(part.text) // 4
        elif (found := part.media) is not None:
            media[found.kind] = media.get(found.kind, 0) + MEDIA_TOKENS[found.kind]
    return Prompt(text, tuple(media.items()), cached)


def implicitly_cached(prompt: Prompt) -> Prompt:
    """Count three quarters of the text as cached."""
    return Prompt(prompt.text, prompt.media, prompt.text * 3 // 4, implicit=True)


def usage(
    prompt: Prompt, answered: int, thoughts: int, modality: bytes = b"TEXT"
) -> bytes:
    """Return usageMetadata as JSON; zero counters are left out, as the service does."""
    if (
        not (thoughts or prompt.media or prompt.cached)
        and answered
        and modality == b"TEXT"
    ):
        return (
            b'{"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d,'
            b'"promptTokensDetails":[{"modality":"TEXT","tokenCount":%d}]}'
            % (prompt.text, answered, prompt.text + answered, prompt.text)
        )
    text = prompt.text + (0 if prompt.implicit else prompt.cached)
    details = [("TEXT", text), *prompt.media]
    found: list[bytes] = [b'"promptTokenCount":%d' % prompt.total]
    if prompt.cached:
        found.append(b'"cachedContentTokenCount":%d' % prompt.cached)
        found.append(b'"cacheTokensDetails":%b' % _details([("TEXT", prompt.cached)]))
    if answered:
        found.append(b'"candidatesTokenCount":%d' % answered)
        found.append(
            b'"candidatesTokensDetails":%b' % _details([(modality.decode(), answered)])
        )
    if thoughts:
        found.append(b'"thoughtsTokenCount":%d' % thoughts)
    found.append(b'"totalTokenCount":%d' % (prompt.total + answered + thoughts))
    found.append(b'"promptTokensDetails":%b' % _details(details))
    return b"{%b}" % b",".join(found)


def _details(counts: list[tuple[str, int]]) -> bytes:
    items = [
        b'{"modality":"%b","tokenCount":%d}' % (name.encode(), count)
        for name, count in counts
        if count
    ]
    return b"[%b]" % b",".join(items)
