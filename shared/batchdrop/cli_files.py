"""Commands that look at a file on this machine, before any upload: no stack, no network.

batchdrop validate reviews.csv --recipe recipe.yaml     each problem with its line, and how to mend it
batchdrop convert openai.jsonl --to gemini              the lines as Gemini's Batch API reads them
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from batchdrop.core import conversion
from batchdrop.core.conversion import PARQUET, Findings
from batchdrop.core.dialect import Rejected, examine
from batchdrop.core.dialects import Dialect
from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import MIB, limit
from batchdrop.core.lines import split_lines
from batchdrop.core.recipes import RECIPE_NAME, Recipe, merged, parse_recipe
from batchdrop.core.rendering import compile_recipe
from batchdrop.core.validation import Code
from batchdrop.core.validation.codes import FIXES

SHOWN = 100
MAX_LINE = limit("input_line")


@dataclass(slots=True)
class Checked:
    """A file's lines, each as a Gemini line or what is wrong with it."""

    kind: str
    lines: Iterator[tuple[int, bytes | Rejected]]
    found: Findings
    model: str
    counts: dict[str, int] = field(default_factory=dict[str, int])


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage]
    """Add `validate` and `convert`."""
    validate = commands.add_parser("validate", help="check a file before it is uploaded")
    validate.add_argument("--json", action="store_true", help="for programs: one JSON object a problem, then the sums")
    validate.set_defaults(local=_validate)
    convert = commands.add_parser("convert", help="write a file as Gemini batch JSONL to standard output")
    convert.add_argument("--to", choices=("gemini",), default="gemini")
    convert.set_defaults(local=_convert)
    for command in (validate, convert):
        command.add_argument("file", type=Path)
        command.add_argument("--recipe", type=Path, help="the recipe (default: recipe.yaml beside the file)")
        command.add_argument("--model", default="", help="the model it will run on")


def checked(path: Path, recipe_path: Path | None, model: str) -> Checked:
    """Open a file and look at each of its lines as the functions would.

    Raises:
        PermanentError: The file as a whole cannot be used; the code says why.
    """
    recipe = _recipe(path, recipe_path, model)
    model = recipe.model or ""
    file = conversion.opened(path.name, _chunks(path), max_bytes=limit("upload"))
    if file.failure is not None:
        raise PermanentError(f"{file.failure.message} {file.failure.fix}", code=file.failure.code)
    found = Findings()
    if file.dialect is Dialect.GEMINI:
        lines: Iterator[bytes] = file.chunks
    elif file.dialect is not Dialect.RECORDS:
        lines = conversion.translated(file, model, found, max_line_bytes=MAX_LINE)
    else:
        if not recipe.renders:
            message = "The file holds records; give a recipe with a prompt (--recipe)."
            raise PermanentError(message, code="RECIPE_MISSING")
        seekable: BinaryIO | None = path.open("rb") if file.suffix == PARQUET and not file.zipped else None
        entries = conversion.entries(file, found, seekable=seekable, max_line_bytes=MAX_LINE)
        lines = conversion.rendered(compile_recipe(recipe), entries, found)
    converted = file.dialect is not Dialect.GEMINI
    return Checked(file.kind, _examined(lines, model, converted=converted), found, model)


def _examined(lines: Iterator[bytes], model: str, *, converted: bool) -> Iterator[tuple[int, bytes | Rejected]]:
    for number, (raw, _) in enumerate(split_lines(lines, max_line_bytes=MAX_LINE * 2), 1):
        if raw is None or len(raw) > MAX_LINE:
            code = Code.LINE_TOO_LONG
            yield number, Rejected(b"null", code, "", f"The line is longer than {MAX_LINE} bytes.", FIXES[code])
        elif raw.strip():
            result = examine(raw, model, converted=converted)
            yield number, result if isinstance(result, Rejected) else raw


def _validate(parsed: argparse.Namespace) -> int:
    """Exit code 0: every line can run; 1: some cannot."""
    file = checked(parsed.file, parsed.recipe, parsed.model)
    good = bad = 0
    for number, result in file.lines:
        if not isinstance(result, Rejected):
            good += 1
            continue
        bad += 1
        problem = {"line": number, "code": result.code, "pointer": result.pointer}
        problem |= {"message": result.message, "fix": result.fix}
        if parsed.json:
            print(json.dumps(problem, ensure_ascii=False))
        elif bad <= SHOWN:
            print(f"{parsed.file}:{number}: {result.code} {result.pointer}: {result.message} {result.fix}")
    warnings = list(file.found.sentences())
    if parsed.json:
        print(json.dumps({"dialect": file.kind, "requests": good, "rejections": bad, "warnings": warnings}))
    else:
        for warning in warnings:
            print(f"warning: {warning}")
        print(f"{file.kind}: {good:,} requests, {bad:,} rejections")
    return 1 if bad or not good else 0


def _convert(parsed: argparse.Namespace) -> int:
    """Write what can run to standard output, what cannot to standard error."""
    file = checked(parsed.file, parsed.recipe, parsed.model)
    bad = 0
    for number, result in file.lines:
        if isinstance(result, Rejected):
            bad += 1
            sys.stderr.write(f"{parsed.file}:{number}: {result.code} {result.pointer}: {result.message}\n")
        else:
            sys.stdout.buffer.write(result + b"\n")
    for warning in file.found.sentences():
        sys.stderr.write(f"warning: {warning}\n")
    return 1 if bad else 0


def _recipe(path: Path, given: Path | None, model: str) -> Recipe:
    beside = given or path.parent / RECIPE_NAME
    recipe = parse_recipe(beside.read_bytes()) if given or beside.exists() else Recipe()
    if not isinstance(recipe, list):
        recipe = merged(recipe, {"model": model} if model else {})
    if isinstance(recipe, list):
        first = recipe[0]
        raise PermanentError(
            f"{beside}:{first.line}: {first.field}: {first.message} {first.fix}", code="RECIPE_INVALID"
        )
    return recipe


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            yield chunk
