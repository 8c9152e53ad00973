"""How dense the code is, counted from its syntax trees: what a reader has to hold in mind, not how long the lines are.

    python -m tests.structure shared/batchdrop/core shared/batchdrop/steps …     a line for each folder

Of a function's body without its docstring: lines, branches (McCabe's, comprehensions and boolean operators included)
and syntax nodes. A private function is used once when its name stands once in its file beside its definition.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.comprehension, ast.match_case)


@dataclass(frozen=True, slots=True)
class Counted:
    """One function's body."""

    lines: int
    branches: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What the functions of a folder have: the middle and the ninetieth of a hundred of each."""

    functions: int
    lines: tuple[int, int]
    branches: tuple[int, int]
    nodes: tuple[int, int]
    nodes_a_line: float
    used_once: float
    """Of the private functions, the share that stands once in its file."""
    longest_module: int

    def row(self, name: str) -> str:
        """Return one line of the table."""
        pairs = "".join(f"{low:>6}/{high:<5}" for low, high in (self.lines, self.branches, self.nodes))
        shares = f"{self.nodes_a_line:>7.1f}{self.used_once:>7.0%}{self.longest_module:>7}"
        return f"{name:<34}{self.functions:>6}{pairs}{shares}"


HEAD = f"{'folder':<34}{'func.':>6}{'lines':^12}{'branches':^12}{'nodes':^12}{'a line':>5}{'once':>7}{'module':>8}"


def figures(folder: Path) -> Figures:
    """Count every function of the modules in a folder, at any depth."""
    sources = [path.read_text() for path in sorted(folder.rglob("*.py"))]
    trees = [ast.parse(source) for source in sources]
    counted = [_counted(function) for tree in trees for function in _functions(tree)]
    private, once = (sum(numbers) for numbers in zip(*map(_private, trees), strict=True))
    return Figures(
        len(counted),
        _percentiles([each.lines for each in counted]),
        _percentiles([each.branches for each in counted]),
        _percentiles([each.nodes for each in counted]),
        sum(each.nodes for each in counted) / max(sum(each.lines for each in counted), 1),
        once / max(private, 1),
        max(source.count("\n") for source in sources),
    )


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _counted(function: Function) -> Counted:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return Counted(0, 1, 0)
    nodes = [node for statement in body for node in ast.walk(statement)]
    choices = sum(len(node.values) - 1 for node in nodes if isinstance(node, ast.BoolOp))
    branches = 1 + choices + sum(isinstance(node, _BRANCHES) for node in nodes)
    return Counted((body[-1].end_lineno or 0) - body[0].lineno + 1, branches, len(nodes))


def _private(tree: ast.AST) -> tuple[int, int]:
    """Return how many private functions a module has, and how many of them it uses once."""
    names = {function.name for function in _functions(tree) if function.name[:1] == "_" and function.name[:2] != "__"}
    uses = Counter[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            uses[node.id] += 1
        elif isinstance(node, ast.Attribute):
            uses[node.attr] += 1
    return len(names), sum(uses[name] == 1 for name in names)


def _percentiles(numbers: list[int]) -> tuple[int, int]:
    ordered = sorted(numbers) or [0]
    return ordered[len(ordered) // 2], ordered[min(len(ordered) * 9 // 10, len(ordered) - 1)]


if __name__ == "__main__":
    print(HEAD)
    for name in sys.argv[1:]:
        print(figures(Path(name)).row(name[-33:]))
