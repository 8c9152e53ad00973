"""Templates: a prompt with the fields of a record put in; Jinja2's language cut down to what a prompt needs.

    Review: {{ text }}                           a field; a record without it is refused, not rendered as nothing
    {{ record["Review text"] }}, {{ user.city }} any name; fields of fields (never attributes of Python objects)
    {{ note|default("none")|truncate(200) }}     the filters of `template_filters`
    {% if stars > 3 %}…{% endif %}  {% for item in items %}{{ loop.index }}. {{ item }}{% endfor %}

Jinja2 because people know it, but only its parser: templates come from outside, and Jinja2 makes Python of them, folds
constants while it compiles, and counts neither loops nor the work of filters. Here each node of the syntax tree becomes
a small function, and all of them pay to one `Meter`. There are no calls, arithmetic, assignments, macros or imports.
A plain template (text and names only) is joined at once. Jinja2 is imported with the first template (cold starts).
Invariant: rendering is a pure function of template and record, bounded in steps, bytes and output; it never raises and
never quotes a value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from batchdrop.core.limits import KIB
from batchdrop.core.problem import Code, Problem
from batchdrop.core.recipe.template_filters import FILTERS
from batchdrop.core.recipe.template_nodes import (
    RECORD,
    Frame,
    Run,
    TemplateError,
    block,
    children,
)
from batchdrop.core.recipe.template_tests import TESTS
from batchdrop.core.recipe.template_values import Missing, RenderError, joined, shown

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

__all__ = ["FILTERS", "RECORD", "Template", "TemplateError", "compile_template"]

MAX_TEMPLATE_CHARS: Final = 64 * KIB
MAX_DEPTH: Final = 40
MAX_NUMBER: Final = 2**63
_NODE_WORDS: Final = (
    "Template Output TemplateData Name Const Getattr Getitem If For CondExpr Compare Operand And Or Not Neg Filter"
    " Test List Tuple Keyword"
)
_NODES: Final = frozenset(_NODE_WORDS.split())
_FAULTS: Final = (TypeError, ValueError, ArithmeticError, LookupError, RecursionError)
"""What Python raises where a filter or a comparison meets a value it does not take."""

Render = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template."""

    fields: frozenset[str]
    """The names it mentions; some may be optional in it."""
    _render: Render

    def render(self, record: Mapping[str, Any]) -> str | Problem:
        """Return the text for a record, or which field is missing or what else is in the way."""
        try:
            return self._render(record)
        except RenderError as error:
            return error.problem
        except _FAULTS as error:
            message = f"The template cannot be filled with this record ({type(error).__name__})."
            return Problem(
                Code.WRONG_TYPE,
                "",
                message,
                "Look at the types of the fields it compares or filters.",
            )


def compile_template(text: str) -> Template:
    """Return the template that `text` writes.

    Raises:
        TemplateError: It is too long, not Jinja2, or uses what is not allowed.
    """
    from jinja2.exceptions import TemplateSyntaxError

    if len(text) > MAX_TEMPLATE_CHARS:
        raise TemplateError(
            f"The template has more than {MAX_TEMPLATE_CHARS} characters."
        )
    try:
        tree = _environment().parse(text)
        _check(tree, 0)
    except TemplateSyntaxError as error:
        raise TemplateError(
            f"The template is not Jinja2: {error.message}.", error.lineno
        ) from None
    except RecursionError:
        raise TemplateError("The template is nested too deep.") from None
    except (
        SyntaxError,
        ValueError,
        OverflowError,
    ):  # a number of thousands of digits, an escape of no character
        raise TemplateError(
            "The template holds a number or an escape that cannot be read."
        ) from None
    names: set[str] = set()
    _mention(tree, frozenset(), names)
    return Template(frozenset(names), _plain(tree) or _rendering(block(tree.body)))


def _rendering(run: Run) -> Render:
    def render(record: Mapping[str, Any]) -> str:
        frame = Frame(record)
        run(frame)
        return "".join(frame.pieces)

    return render


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """Return Jinja2's parser; nothing is ever compiled or run by it."""
    from jinja2 import Environment

    return Environment(
        autoescape=True, keep_trailing_newline=False, cache_size=0, optimized=False
    )


# ------------------------------------------------------------------------------------------ what a tree may hold
def _check(node: nodes.Node, depth: int) -> None:
    from jinja2 import nodes

    kind = type(node).__name__
    if kind not in _NODES:
        raise TemplateError(
            f"A template may not use {kind} (no calls, arithmetic or assignments).",
            node.lineno,
        )
    if depth > MAX_DEPTH:
        raise TemplateError("The template is nested too deep.", node.lineno)
    if isinstance(node, (nodes.Name, nodes.Getattr)) and _name(node).startswith("_"):
        raise TemplateError("A name may not begin with an underscore.", node.lineno)
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateError("A loop may not be recursive.", node.lineno)
    if (
        isinstance(node, nodes.Const)
        and isinstance(node.value, (int, float))
        and not abs(node.value) < MAX_NUMBER
    ):
        raise TemplateError("A number is too large.", node.lineno)
    if isinstance(node, (nodes.Filter, nodes.Test)):
        _check_call(node)
    for child in node.iter_child_nodes():
        _check(child, depth + 1)


def _check_call(node: nodes.Filter | nodes.Test) -> None:
    """Check that a filter or test exists and takes these arguments."""
    from jinja2 import nodes

    table, word = (
        (FILTERS, "filter") if isinstance(node, nodes.Filter) else (TESTS, "test")
    )
    if node.name not in table:
        known = ", ".join(sorted(table))
        raise TemplateError(
            f"There is no {word} of that name; there are {known}.", node.lineno
        )
    if node.node is None or node.dyn_args is not None or node.dyn_kwargs is not None:
        raise TemplateError(f"A {word} takes no * and no ** arguments.", node.lineno)
    try:
        given: dict[str, None] = {
            str(cast("nodes.Keyword", pair).key): None for pair in node.kwargs
        }
        inspect.signature(table[node.name]).bind(None, None, *node.args, **given)
    except TypeError:
        raise TemplateError(
            f"The {word} {node.name} does not take these arguments.", node.lineno
        ) from None


def _name(node: nodes.Node) -> str:
    return str(getattr(node, "name", None) or getattr(node, "attr", ""))


def _mention(node: nodes.Node, bound: frozenset[str], names: set[str]) -> None:
    """Collect the fields of the record that a node mentions; `bound` are the names of the loops around it."""
    from jinja2 import nodes

    if isinstance(node, nodes.For):
        inside = (
            bound
            | {target.name for target in node.target.find_all(nodes.Name)}
            | {"loop"}
        )
        if isinstance(node.target, nodes.Name):
            inside |= {node.target.name}
        _mention(node.iter, bound, names)
        for child in (*node.body, *children(node.test)):
            _mention(child, inside, names)
        for child in node.else_:
            _mention(child, bound, names)
        return
    if isinstance(node, nodes.Name) and node.name not in bound and node.name != RECORD:
        names.add(node.name)
    if (
        isinstance(node, nodes.Getitem)
        and isinstance(node.node, nodes.Name)
        and node.node.name == RECORD
    ):
        names.update(
            part.value for part in children(node.arg) if isinstance(part, nodes.Const)
        )
    for child in node.iter_child_nodes():
        _mention(child, bound, names)


def _plain(tree: nodes.Template) -> Render | None:
    """Return a renderer for a template of text and names only."""
    from jinja2 import nodes

    parts: list[str | nodes.Name] = []
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            return None
        for part in output.nodes:
            if isinstance(part, nodes.TemplateData):
                parts.append(part.data)
            elif isinstance(part, nodes.Name) and part.name != RECORD:
                parts.append(part)
            else:
                return None
    texts = [part if isinstance(part, str) else "" for part in parts]
    fields = [
        (index, part.name)
        for index, part in enumerate(parts)
        if not isinstance(part, str)
    ]

    def render(record: Mapping[str, Any]) -> str:
        filled = texts.copy()
        meter = Frame(record).meter
        for index, name in fields:
            value = record.get(name, _ABSENT)
            if isinstance(value, str):
                filled[index] = value
            elif value is _ABSENT:
                raise RenderError(
                    Code.MISSING_FIELD, f"The record has no field {name!r}.", f"/{name}"
                )
            else:
                filled[index] = shown(meter, value)
        return joined(filled)

    return render


_ABSENT: Final = Missing("")
