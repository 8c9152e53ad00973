"""The nodes of a template's syntax tree, each made into a small function; see `templates`.

    statement   Run(frame)          writes pieces
    expression  Eval(frame) -> value

A turn of a loop pays for all nodes of its body at once, so that the functions themselves count nothing.
Only nodes that `templates` lets through come here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from batchdrop.core.recipe.template_filters import FILTERS
from batchdrop.core.recipe.template_tests import TESTS, equal, less
from batchdrop.core.recipe.template_tests import contains as within
from batchdrop.core.recipe.template_values import (
    MAX_OUTPUT_BYTES,
    Loop,
    Meter,
    Missing,
    elements,
    known,
    look_up,
    shown,
    too_long,
)

if TYPE_CHECKING:
    from jinja2 import nodes

RECORD: Final = "record"
"""The name of all fields together, for names that are no identifiers."""
_LOOP: Final = "loop"
_NOTHING: Final = object()


class TemplateError(Exception):
    """The template's text is refused; `line` counts within it."""

    def __init__(self, sentence: str, line: int = 1) -> None:
        """Keep what and where."""
        super().__init__(sentence)
        self.sentence = sentence
        self.line = line


class Frame:
    """One rendering: the names in reach, what is left to spend, what was written."""

    __slots__ = ("meter", "names", "pieces", "size")

    def __init__(self, record: Mapping[str, Any]) -> None:
        """Begin with the record's fields."""
        self.names: dict[str, Any] = {**record, RECORD: record}
        self.meter = Meter()
        self.pieces: list[str] = []
        self.size = 0

    def write(self, text: str) -> None:
        """Add a piece of output."""
        self.size += len(text)
        if self.size > MAX_OUTPUT_BYTES:
            raise too_long()
        self.pieces.append(text)

    def bind(self, name: str, value: object) -> None:
        """Give a name a value, or take it away."""
        if value is _NOTHING:
            self.names.pop(name, None)
        else:
            self.names[name] = value


Run = Callable[[Frame], None]
Eval = Callable[[Frame], Any]


def children(node: nodes.Node | None) -> Sequence[nodes.Node]:
    """Return a node that may be absent as none or one."""
    return () if node is None else (node,)


# --------------------------------------------------------------------------------------------------- statements
def block(body: Sequence[nodes.Node]) -> Run:
    """Return what runs statements in order."""
    runs = [_statement(node) for node in body]
    cost = 1 + sum(map(_size, body))

    def run(frame: Frame) -> None:
        frame.meter.work(cost)
        for each in runs:
            each(frame)

    return run


def _size(node: nodes.Node) -> int:
    """Return how many nodes run with this one, without those of loops and branches, which pay for themselves."""
    from jinja2 import nodes

    if isinstance(node, nodes.For):
        return 1 + _size(node.iter)
    if isinstance(node, nodes.If):
        return (
            1 + _size(node.test) + sum(1 + _size(branch.test) for branch in node.elif_)
        )
    return 1 + sum(map(_size, node.iter_child_nodes()))


def _statement(node: nodes.Node) -> Run:
    from jinja2 import nodes

    if isinstance(node, nodes.For):
        return _loop(node)
    return (
        _branches(node)
        if isinstance(node, nodes.If)
        else _output(cast("nodes.Output", node))
    )


def _output(node: nodes.Output) -> Run:
    evaluated = [expression(part) for part in node.nodes]

    def run(frame: Frame) -> None:
        for value in evaluated:
            frame.write(shown(frame.meter, known(value(frame))))

    return run


def _branches(node: nodes.If) -> Run:
    branches = [
        (expression(branch.test), block(branch.body)) for branch in (node, *node.elif_)
    ]
    otherwise = block(node.else_)

    def run(frame: Frame) -> None:
        for test, body in branches:
            if known(test(frame)):
                body(frame)
                return
        otherwise(frame)

    return run


def _loop(node: nodes.For) -> Run:
    items, body, otherwise = expression(node.iter), block(node.body), block(node.else_)
    set_target, targets = _target(cast("nodes.Expr", node.target))
    test = None if node.test is None else expression(node.test)
    cost = 0 if node.test is None else _size(node.test)

    def kept(frame: Frame) -> list[Any]:
        found = elements(frame.meter, items(frame))
        if test is None:
            return found
        passed: list[Any] = []
        for item in found:
            frame.meter.work(cost)
            set_target(frame, item)
            if known(test(frame)):
                passed.append(item)
        return passed

    def run(frame: Frame) -> None:
        before = [(name, frame.names.get(name, _NOTHING)) for name in targets]
        found = kept(frame)
        loop = Loop(len(found))
        for loop.index0, item in enumerate(found):
            frame.names[_LOOP] = loop
            set_target(frame, item)
            body(frame)
        for name, value in before:
            frame.bind(name, value)
        if not found:
            otherwise(frame)

    return run


def _target(node: nodes.Expr) -> tuple[Callable[[Frame, Any], None], list[str]]:
    """Return what binds an element to a loop's name or names, and the names that change."""
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        name = node.name

        def bind(frame: Frame, item: Any) -> None:
            frame.names[name] = item

        return bind, [name, _LOOP]
    parts = [_target(part) for part in cast("nodes.Tuple", node).items]

    def unpack(frame: Frame, item: Any) -> None:
        values = elements(frame.meter, item)
        for (bind_part, _), value in zip(parts, values, strict=True):
            bind_part(frame, value)

    return unpack, [name for _, names in parts for name in names]


# -------------------------------------------------------------------------------------------------- expressions
def expression(node: nodes.Node) -> Eval:
    """Return what gives the value of an expression."""
    return _EXPRESSIONS[type(node).__name__](node)


def _constant(value: Any) -> Eval:
    return lambda _frame: value


def _named(name: str) -> Eval:
    missing = Missing(name)
    return lambda frame: frame.names.get(name, missing)


def _listed(node: Any) -> Eval:
    items = [expression(item) for item in node.items]
    return lambda frame: [known(item(frame)) for item in items]


def _looked_up(node: Any) -> Eval:
    holder, path = expression(node.node), _path(node)
    key = (
        _constant(node.attr)
        if type(node).__name__ == "Getattr"
        else expression(node.arg)
    )
    return lambda frame: look_up(holder(frame), known(key(frame)), path)


def _path(node: Any) -> str:
    """Return how the template writes a look-up, with constants only: a value must not get into a message."""
    kind = type(node).__name__
    if kind == "Getattr":
        return f"{_path(node.node)}.{node.attr}"
    if kind == "Getitem":
        constant = type(node.arg).__name__ == "Const"
        return (
            f"{_path(node.node)}[{node.arg.value!r}]" if constant else _path(node.node)
        )
    return str(node.name) if kind == "Name" else "…"


def _chosen(node: Any) -> Eval:
    test, yes = expression(node.test), expression(node.expr1)
    no = _constant(Missing("else")) if node.expr2 is None else expression(node.expr2)
    return lambda frame: yes(frame) if known(test(frame)) else no(frame)


def _both(node: Any) -> Eval:
    left, right = expression(node.left), expression(node.right)
    return lambda frame: known(left(frame)) and right(frame)


def _either(node: Any) -> Eval:
    left, right = expression(node.left), expression(node.right)
    return lambda frame: known(left(frame)) or right(frame)


def _inverted(node: Any) -> Eval:
    value = expression(node.node)
    return lambda frame: not known(value(frame))


def _negative(node: Any) -> Eval:
    value = expression(node.node)
    return lambda frame: -known(value(frame))


_OPERATORS: Final[dict[str, Callable[[Meter, Any, Any], bool]]] = {
    "eq": equal,
    "ne": TESTS["ne"],
    "lt": less,
    "gt": TESTS["gt"],
    "lteq": TESTS["le"],
    "gteq": TESTS["ge"],
    "in": within,
    "notin": lambda meter, value, container: not within(meter, value, container),
}


def _compared(node: Any) -> Eval:
    first = expression(node.expr)
    rest = [(_OPERATORS[operand.op], expression(operand.expr)) for operand in node.ops]

    def compare(frame: Frame) -> bool:
        left = first(frame)
        for operator, operand in rest:
            right = operand(frame)
            if not operator(frame.meter, left, right):
                return False
            left = right
        return True

    return compare


def _called(node: Any) -> Eval:
    function = (FILTERS if type(node).__name__ == "Filter" else TESTS)[node.name]
    value = expression(node.node)
    args = [expression(arg) for arg in node.args]
    named = [(pair.key, expression(pair.value)) for pair in node.kwargs]
    passes = node.name in ("default", "d")

    def call(frame: Frame) -> Any:
        given = [arg(frame) for arg in args]
        others = {name: arg(frame) for name, arg in named}
        if not passes:
            for arg in (*given, *others.values()):
                known(arg)
        return function(frame.meter, value(frame), *given, **others)

    return call


_EXPRESSIONS: Final[dict[str, Callable[[Any], Eval]]] = {
    "And": _both,
    "Compare": _compared,
    "CondExpr": _chosen,
    "Const": lambda node: _constant(node.value),
    "Filter": _called,
    "Getattr": _looked_up,
    "Getitem": _looked_up,
    "List": _listed,
    "Name": lambda node: _named(node.name),
    "Neg": _negative,
    "Not": _inverted,
    "Or": _either,
    "TemplateData": lambda node: _constant(node.data),
    "Test": _called,
    "Tuple": _listed,
}
