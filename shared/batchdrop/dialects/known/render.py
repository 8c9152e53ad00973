"""A record and a recipe become one line of a language: a pure function, so the same upload makes the same lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from batchdrop.core.limits import limit
from batchdrop.core.problem import Code, Problem
from batchdrop.core.recipe.draft import CompiledRecipe, Draft, compile_recipe, draft_of
from batchdrop.core.recipe.recipe import Recipe
from batchdrop.dialects import converted
from batchdrop.dialects.dialect import Dialect

MAX_LINE_BYTES: Final = limit("input_line")


@dataclass(frozen=True, slots=True)
class Renderer:
    """A recipe ready for records, in one language."""

    compiled: CompiledRecipe
    write: Callable[[Draft], bytes]


def renderer(language: Dialect, recipe: Recipe) -> Renderer:
    """Return the recipe ready for records in a language.

    Raises:
        PermanentError: RECIPE_WITHOUT_PROMPT: it says nothing about what to ask.
    """
    return Renderer(compile_recipe(recipe), language.renderer(recipe))


def render_record(renderer: Renderer, fields: Mapping[str, Any]) -> bytes | Problem:
    """Return the line for a record, without newline, or what is in the way; never raises."""
    draft = draft_of(renderer.compiled, fields)
    if isinstance(draft, Problem):
        return draft
    line = converted.accepted(draft.key, renderer.write(draft))[:-1]
    if len(line) <= MAX_LINE_BYTES:
        return line
    message = f"The rendered request has more than {MAX_LINE_BYTES} bytes."
    return Problem(Code.LINE_TOO_LONG, "", message)
