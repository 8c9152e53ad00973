"""YAML as people write it in settings, with the line of every field, and none of YAML's surprises.

PyYAML reads the nodes (a parser of one's own for the same text would be longer than all of this); the values are
built here: only `true`, `false`, `null`, `~`, decimal numbers and text. So `no` stays the text "no", a date stays
text, and nothing can be constructed. Aliases, tags, repeated keys, deep nesting and large files are refused.
Invariant: `read` returns or raises YamlError, whatever the bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from batchdrop.core.limits import KIB, limit

MAX_DEPTH: Final = 32
Path = tuple[str | int, ...]

_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?"
)
_WORDS: Final[dict[str, bool | None]] = {
    "true": True,
    "false": False,
    "null": None,
    "~": None,
    "": None,
}


class YamlError(Exception):
    """The text cannot be read; `line` is 1-based."""

    def __init__(self, line: int, sentence: str) -> None:
        """Keep where and what."""
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


@dataclass(slots=True)
class Document:
    """A value and the line on which each of its entries begins."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict[Path, int])

    def line(self, path: Path) -> int:
        """Return the line of an entry, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(data: bytes) -> Document:
    """Return the one document in `data`.

    Raises:
        YamlError: It is too large, not UTF-8, not YAML, or uses what is refused.
    """
    if len(data) > limit("recipe"):
        raise YamlError(1, f"The file has more than {limit('recipe') // KIB} KiB.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(
            data.count(b"\n", 0, error.start) + 1, "The file is not UTF-8."
        ) from None
    try:
        _refuse_surprises(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise YamlError(
            line,
            f"This is not YAML: {getattr(error, 'problem', None) or 'unreadable'}.",
        ) from None
    except (
        ValueError,
        OverflowError,
    ):  # "\U00110000": PyYAML hands the number to chr()
        raise YamlError(1, "A text holds an escape that is no character.") from None
    document = Document()
    if root is not None:
        document.value = _value(root, (), document.lines)
    return document


def _refuse_surprises(text: str) -> None:
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise YamlError(line, "Aliases (*name) are not taken.")
        if getattr(event, "tag", None) not in (None, "!"):
            raise YamlError(line, "Tags (!name) are not taken.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise YamlError(line, f"The file is nested deeper than {MAX_DEPTH} levels.")


def _value(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [
            _value(item, (*path, index), lines) for index, item in enumerate(node.value)
        ]
    found: dict[str, Any] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise YamlError(line, "A field's name must be a text.")
        name = _text(key)
        if name in found:
            raise YamlError(line, "The field is there twice.")
        lines[*path, name] = line
        found[name] = _value(item, (*path, name), lines)
    return found


def _text(node: yaml.ScalarNode) -> str:
    if any("\ud800" <= char <= "\udfff" for char in node.value):
        raise YamlError(
            node.start_mark.line + 1, "A text holds half of a surrogate pair."
        )
    return node.value


def _scalar(node: yaml.ScalarNode) -> Any:
    text = _text(node)
    if node.style is not None:
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
