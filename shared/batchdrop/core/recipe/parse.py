"""Recipes read from a file, with an upload's metadata over them; every problem has its line and what would mend it.

Invariant: `parse_recipe` returns a recipe or at least one problem, whatever the bytes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from batchdrop.core.recipe.recipe import (
    FIXES,
    Attachment,
    Dialect,
    Embed,
    Format,
    Generation,
    Image,
    Output,
    Recipe,
    Thinking,
)

if TYPE_CHECKING:
    from batchdrop.core.recipe import yaml


@dataclass(frozen=True, slots=True)
class RecipeProblem:
    """One thing wrong with a recipe or with the metadata over it; `line` is 1-based, 0 for metadata."""

    line: int
    field: str
    message: str
    fix: str


_LABEL: Final = "label-"
_NO_YAML: Final = "Write the recipe as plain YAML."
_NO_FIELDS: Final = RecipeProblem(
    1, "", "The recipe is not a list of fields.", "Write `model: …`, `prompt: …`."
)
_OVERRIDES: Final = (
    "model",
    "deadline",
    "priority",
    "finish",
    "policy",
    "max-cost",
    "cache",
    "output",
)
_PARTS: Final[Mapping[str, type[BaseModel]]] = {
    "generation": Generation,
    "embed": Embed,
    "output": Output,
    "attachments": Attachment,
    "thinking_config": Thinking,
    "image_config": Image,
}


def parse_recipe(data: bytes) -> Recipe | list[RecipeProblem]:
    """Return the recipe a file holds, or every problem with its line. Total over all bytes."""
    from batchdrop.core.recipe import yaml  # and PyYAML: for uploads with a recipe

    try:
        document = yaml.read(data)
    except yaml.YamlError as error:
        return [RecipeProblem(error.line, "", error.sentence, _NO_YAML)]
    value: Any = {} if document.value is None else document.value
    if not isinstance(value, dict):
        return [_NO_FIELDS]
    return _checked(cast("dict[str, Any]", value), document)


def merged(recipe: Recipe, metadata: Mapping[str, str]) -> Recipe | list[RecipeProblem]:
    """Return the recipe with an upload's metadata over it, or every problem.

    Names: model, deadline, priority, finish, policy, max-cost, cache, output (words of its three settings, for
    example `csv,join`) and label-*. Other names are other people's, unless one is nearly one of these.
    """
    fields: dict[str, Any] = recipe.model_dump(mode="json", exclude_unset=True)
    attribution = dict(recipe.attribution)
    problems: list[RecipeProblem] = []
    for name, value in metadata.items():
        word = name.lower().replace("_", "-")
        if word.startswith(_LABEL):
            attribution[word.removeprefix(_LABEL)] = value
        elif word == "output":
            fields["output"] = _output(recipe.output, value, problems)
        elif word in _OVERRIDES:
            fields[word.replace("-", "_")] = value
        else:
            problems += _misspelt(name, word)

    if attribution:
        fields["attribution"] = attribution
    checked = _checked(fields, None)
    if isinstance(checked, list):
        return problems + checked
    return problems or checked


# ------------------------------------------------------------------------------------------- words of metadata
def _misspelt(name: str, word: str) -> list[RecipeProblem]:
    """Say what a name that is nearly a setting's was meant to be."""
    close = difflib.get_close_matches(word, _OVERRIDES, n=1, cutoff=0.8)
    if not close:
        return []
    fix = f"Did you mean {close[0]}?"
    return [RecipeProblem(0, name, "There is no such setting.", fix)]


def _output(output: Output, text: str, problems: list[RecipeProblem]) -> dict[str, Any]:
    """Return the output settings with the words of a metadata value put in."""
    settings = output.model_dump(mode="json")
    words = [word for word in re.split(r"[,\s]+", text.strip().lower()) if word]
    formats = [word for word in words if word in list(Format)]
    if formats:
        settings["formats"] = formats
    for word in words:
        if word in list(Dialect):
            settings["dialect"] = word
        elif word == "join":
            settings["join"] = True
        elif word not in formats:
            problems.append(_UNKNOWN_WORD)
    return settings


_UNKNOWN_WORD: Final = RecipeProblem(
    0,
    "output",
    "The value has an unknown word.",
    f"Use {', '.join([*Dialect, *Format, 'join'])}.",
)


# ------------------------------------------------------------------------------------------------------ problems
def _checked(
    fields: dict[str, Any], document: yaml.Document | None
) -> Recipe | list[RecipeProblem]:
    """Return the recipe that fields make, or every problem with its line; metadata is no document and has no lines."""
    try:
        return Recipe.model_validate(fields)
    except ValidationError as error:
        items = error.errors(include_url=False)
        return [_problem(item, document) for item in items]


def _problem(item: ErrorDetails, document: yaml.Document | None) -> RecipeProblem:
    """Return what pydantic found wrong, in our words where they say more."""
    path = tuple(item["loc"])
    field = ".".join(map(str, path))
    line = 0 if document is None else document.line(path)
    if item["type"] == "extra_forbidden":
        message = "A recipe has no such field here."
        return RecipeProblem(line, field, message, _fix_of_unknown(path))
    return RecipeProblem(line, field, item["msg"], _fix_of(path))


def _fix_of(path: tuple[str | int, ...]) -> str:
    """Say what would mend a value, or two fields that exclude each other."""
    if not path:
        return "Remove one of the two."
    return FIXES.get(str(path[0]), "Write a value as the sentence says.")


def _fix_of_unknown(path: tuple[str | int, ...]) -> str:
    """Say which field a name was meant to be."""
    close = difflib.get_close_matches(str(path[-1]), _siblings(path), n=1)
    return f"Did you mean {close[0]}?" if close else "Remove it."


def _siblings(path: tuple[str | int, ...]) -> list[str]:
    """Return the fields that exist where a name stands."""
    names = [str(part) for part in path[:-1] if not isinstance(part, int)]
    part = _PARTS.get(names[-1], Recipe) if names else Recipe
    return list(part.model_fields)
