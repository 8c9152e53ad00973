"""Templates: a prompt with the fields of a record put in, by Jinja2 cut down to what a prompt needs.

    Review: {{ text }}                           a field; a record without it is refused, not rendered as nothing
    {{ record["Review text"] }}, {{ user.city }} any name; fields of fields (never attributes of Python objects)
    {{ note|default("none")|truncate(200) }}     the filters of `FILTERS`
    {% if stars > 3 %}…{% endif %}  {% for item in items %}{{ loop.index }}. {{ item }}{% endfor %}

Jinja2 because people know it, and its SandboxedEnvironment because templates come from outside; on top of it the
syntax tree is checked against a list of allowed nodes: no calls, arithmetic, assignments, macros or imports, so that
output and steps can be bounded. A plain template (text and names only) is joined without Jinja2's machinery.
Jinja2 is imported when the first template is compiled (cold starts).
Invariant: rendering is a pure function of template and record; it never raises and never quotes a value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from batchdrop.core.limits import KIB, limit
from batchdrop.core.validation import Code, Problem

if TYPE_CHECKING:
    from jinja2 import Environment, nodes
    from jinja2.runtime import Context

MAX_TEMPLATE_CHARS: Final = 64 * KIB
MAX_OUTPUT_CHARS: Final = limit("input_line")
MAX_STEPS: Final = 100_000
"""How many times all loops of one rendering may turn together."""
MAX_DEPTH: Final = 40
RECORD: Final = "record"
"""The name of all fields together, for names that are no identifiers."""

_FILTER_WORDS: Final = (
    "abs capitalize count default d first float int join last length list lower replace reverse round sort string"
    " sum title tojson trim truncate unique upper wordcount"
)
_NODE_WORDS: Final = (
    "Template Output TemplateData Name Const Getattr Getitem If For CondExpr Compare Operand And Or Not Neg Filter"
    " Test List Tuple Keyword"
)
FILTERS: Final = frozenset(_FILTER_WORDS.split())
_NODES: Final = frozenset(_NODE_WORDS.split())
_LOOP: Final = frozenset({"index", "index0", "first", "last", "length"})
_FAULTS: Final = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    AssertionError,
    MemoryError,
)
"""What Jinja2's filters and tests raise for values they do not take (its `truncate` asserts)."""
_STEPS: Final = "_steps"

Render = Callable[[Mapping[str, Any]], str]


class TemplateError(Exception):
    """The template's text is refused; `line` counts within it."""

    def __init__(self, sentence: str, line: int = 1) -> None:
        """Keep what and where."""
        super().__init__(sentence)
        self.sentence = sentence
        self.line = line


class _RenderError(Exception):
    def __init__(self, code: Code, sentence: str, pointer: str = "") -> None:
        super().__init__(sentence)
        self.problem = Problem(code, pointer, sentence)


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template."""

    fields: frozenset[str]
    """The names it mentions; some may be optional in it."""
    _render: Render

    def render(self, record: Mapping[str, Any]) -> str | Problem:
        """Return the text for a record, or which field is missing or what else is in the way."""
        from jinja2.exceptions import TemplateError as JinjaError
        from jinja2.exceptions import UndefinedError

        try:
            return self._render(record)
        except _RenderError as error:
            return error.problem
        except UndefinedError as error:
            return Problem(Code.MISSING_FIELD, "", f"The template needs what the record does not have: {error}.")
        except (JinjaError, *_FAULTS) as error:
            message = f"The template cannot be filled with this record ({type(error).__name__})."
            return Problem(Code.WRONG_TYPE, "", message, "Look at the types of the fields it compares or filters.")


def compile_template(text: str) -> Template:
    """Return the template that `text` writes.

    Raises:
        TemplateError: It is too long, not Jinja2, or uses what is not allowed.
    """
    from jinja2.exceptions import TemplateSyntaxError

    if len(text) > MAX_TEMPLATE_CHARS:
        raise TemplateError(f"The template has more than {MAX_TEMPLATE_CHARS} characters.")
    environment = _environment()
    try:
        tree = environment.parse(text)
        _check(tree, 0)
        names = _names(tree)
        plain = _plain(tree)
        if plain is not None:
            return Template(names, plain)
        program = environment.from_string(cast(Any, _guarded(tree)))
    except TemplateSyntaxError as error:
        raise TemplateError(f"The template is not Jinja2: {error.message}.", error.lineno) from None
    except RecursionError:
        raise TemplateError("The template is nested too deep.") from None
    except (SyntaxError, ValueError, OverflowError):  # what Python's own compiler refuses, huge numbers for example
        raise TemplateError("The template cannot be compiled.") from None

    def render(record: Mapping[str, Any]) -> str:
        chunks = program.generate({**record, RECORD: record, _STEPS: [0]})
        return _joined(chunks)

    return Template(names, render)


# -------------------------------------------------------------------------------------------- the syntax tree
def _check(node: nodes.Node, depth: int) -> None:
    from jinja2 import nodes

    kind = type(node).__name__
    if kind not in _NODES:
        raise TemplateError(f"A template may not use {kind} (no calls, arithmetic or assignments).", node.lineno)
    if depth > MAX_DEPTH:
        raise TemplateError("The template is nested too deep.", node.lineno)
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise TemplateError(f"There is no filter of that name; there are {', '.join(sorted(FILTERS))}.", node.lineno)
    if isinstance(node, (nodes.Name, nodes.Getattr)) and _name(node).startswith("_"):
        raise TemplateError("A name may not begin with an underscore.", node.lineno)
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateError("A loop may not be recursive.", node.lineno)
    for child in node.iter_child_nodes():
        _check(child, depth + 1)


def _name(node: nodes.Node) -> str:
    return str(getattr(node, "name", None) or getattr(node, "attr", ""))


def _names(tree: nodes.Template) -> frozenset[str]:
    from jinja2 import meta, nodes

    whole = {
        node.arg.value
        for node in tree.find_all(nodes.Getitem)
        if isinstance(node.node, nodes.Name) and node.node.name == RECORD and isinstance(node.arg, nodes.Const)
    }
    return frozenset(meta.find_undeclared_variables(tree) - {RECORD} | whole)


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
    fields = [(index, part.name) for index, part in enumerate(parts) if not isinstance(part, str)]

    def render(record: Mapping[str, Any]) -> str:
        filled = texts.copy()
        for index, name in fields:
            if name not in record:
                raise _RenderError(Code.MISSING_FIELD, f"The record has no field {name!r}.", f"/{name}")
            filled[index] = str(_shown(record[name]))
        return _joined(iter(filled))

    return render


def _guarded(tree: nodes.Template) -> nodes.Template:
    """Route loops and every look into a value through our own filters; Python attributes are out of reach."""
    from jinja2 import nodes

    for loop in list(tree.find_all(nodes.For)):
        loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None, lineno=loop.lineno)
    for parent in [tree, *tree.find_all(nodes.Node)]:
        for field, value in list(parent.iter_fields()):
            if isinstance(value, list):
                setattr(parent, field, [_looked_up(item) for item in cast("list[Any]", value)])
            else:
                setattr(parent, field, _looked_up(value))
    tree.set_environment(_environment())
    return tree


def _looked_up(node: Any) -> Any:
    from jinja2 import nodes

    if isinstance(node, nodes.Getattr):
        if isinstance(node.node, nodes.Name) and node.node.name == "loop" and node.attr in _LOOP:
            return node
        arg: nodes.Expr = nodes.Const(node.attr, lineno=node.lineno)
    elif isinstance(node, nodes.Getitem):
        arg = node.arg
    else:
        return node
    path = nodes.Const(_path(node), lineno=node.lineno)
    return nodes.Filter(_looked_up(node.node), "item", [_looked_up(arg), path], [], None, None, lineno=node.lineno)


def _path(node: nodes.Node) -> str:
    """Return how the template writes a look-up, with constants only: a value must not get into a message."""
    from jinja2 import nodes

    if isinstance(node, nodes.Getattr):
        return f"{_path(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem):
        return f"{_path(node.node)}[{node.arg.value!r}]" if isinstance(node.arg, nodes.Const) else _path(node.node)
    return _name(node) if isinstance(node, nodes.Name) else "…"


# ------------------------------------------------------------------------------------------------- at run time
@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import StrictUndefined, pass_context
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, finalize=_shown, keep_trailing_newline=False, cache_size=0
    )
    ours = {"item": _item, "counted": pass_context(_counted), "replace": _replace, "join": _join, "tojson": _json}
    environment.globals.clear()
    environment.filters.update(cast(Any, ours))
    return environment


def _shown(value: Any) -> Any:
    """Return what a value looks like in a prompt: nothing for null, JSON for true, false, lists and objects."""
    if value is None:
        return ""
    plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return value if plain else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_listed)


def _listed(value: Any) -> list[Any]:
    """Return what a filter yields as a list; an undefined value names itself by its error."""
    if isinstance(value, Iterator):
        return list(cast("Iterator[Any]", value))
    str(value)
    raise TypeError


def _item(value: Any, key: Any, path: str) -> Any:
    from jinja2 import StrictUndefined

    if isinstance(value, Mapping):
        fields = cast("Mapping[Any, Any]", value)
        return fields[key] if key in fields else StrictUndefined(name=path)
    if isinstance(value, list) and isinstance(key, int):
        items = cast("list[Any]", value)
        return items[key] if -len(items) <= key < len(items) else StrictUndefined(name=path)
    return StrictUndefined(name=path)


def _counted(context: Context, items: Any) -> Iterator[Any]:
    steps: list[int] = context[_STEPS]
    for item in items:
        steps[0] += 1
        if steps[0] > MAX_STEPS:
            raise _RenderError(Code.OUT_OF_RANGE, f"The template's loops turn more than {MAX_STEPS} times.")
        yield item


def _replace(text: Any, old: str, new: str) -> str:
    text = str(text)
    if len(text) + text.count(old) * (len(new) - len(old)) > MAX_OUTPUT_CHARS:
        raise _too_long()
    return text.replace(old, new)


def _join(items: Any, separator: str = "") -> str:
    def separated() -> Iterator[str]:
        for index, item in enumerate(items):
            if index:
                yield separator
            yield str(_shown(item))

    return _joined(separated())


def _joined(chunks: Iterator[str]) -> str:
    pieces: list[str] = []
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_OUTPUT_CHARS:
            raise _too_long()
        pieces.append(chunk)
    return "".join(pieces)


def _too_long() -> _RenderError:
    return _RenderError(Code.LINE_TOO_LONG, f"The rendered text has more than {MAX_OUTPUT_CHARS} characters.")
