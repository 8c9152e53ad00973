"""Commands that look at a file on this machine, before any upload: no stack, no network.

batchdrop validate reviews.csv --recipe recipe.yaml     each problem with its line, and how to mend it
batchdrop convert openai.jsonl --to gemini              the lines as Gemini's Batch API reads them
batchdrop estimate reviews.csv                          what it may cost: batch, with a cache, flex, standard
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.limits import MIB, limit
from batchdrop.core.money.cache_cost import (
    BYTES_PER_TOKEN,
    SENTENCES,
    decide,
    minimum_tokens,
)
from batchdrop.core.money.estimate import Expected, Range, estimate, expected, plus
from batchdrop.core.money.prices import Processing, source
from batchdrop.core.recipe.parse import merged, parse_recipe
from batchdrop.core.recipe.recipe import RECIPE_NAME, Recipe
from batchdrop.core.upload.kinds import Form, form_of, refused_name
from batchdrop.core.upload.lines import split_lines
from batchdrop.core.upload.tables import Place
from batchdrop.core.value import Failure
from batchdrop.dialects import convert
from batchdrop.dialects.convert import PARQUET, Findings
from batchdrop.dialects.dialect import LineForm, Rejected
from batchdrop.dialects.gemini.attachments import addresses, may_name
from batchdrop.dialects.gemini.beginnings import Watch
from batchdrop.dialects.gemini.check import examine, no_images
from batchdrop.dialects.gemini.models import (
    DEFAULT,
    cannot,
    draws_nothing,
    foreign,
    table,
)
from batchdrop.dialects.gemini.render import body_of, compile_recipe
from batchdrop.dialects.gemini.request import may_ask_images, request, view
from batchdrop.ports import BatchKind

SHOWN = 100
DEFAULT_MODEL = DEFAULT
"""The stack's default, unless the recipe or --model names another."""
MAX_LINE = limit("input_line")
STDIN = Path("-")
"""Standard input, taken for JSON lines."""


@dataclass(slots=True)
class Checked:
    """A file's lines, each as a Gemini line or what is wrong with it."""

    kind: str
    lines: Iterator[tuple[int, bytes | Rejected]]
    found: Findings
    model: str
    converted: bool


def checked(path: Path, recipe_path: Path | None, model: str) -> Checked:
    """Open a file and look at each of its lines as the functions would.

    Raises:
        PermanentError: The file as a whole cannot be used; the code says why.
    """
    recipe = _recipe(path, recipe_path, model)
    model = recipe.model or ""
    name = "stdin.jsonl" if path == STDIN else path.name
    _refuse_name(name)
    file = convert.opened(name, _chunks(path), max_bytes=limit("upload"))
    if file.failure is not None:
        raise PermanentError(
            f"{file.failure.message} {file.failure.fix}", code=file.failure.code
        )
    found = Findings()
    if file.array:
        file = replace(
            file,
            chunks=convert.unwrapped(file, Place(), max_line_bytes=MAX_LINE),
            array=False,
        )
    if file.dialect is LineForm.GEMINI:
        lines: Iterator[bytes] = file.chunks
    elif file.dialect is not LineForm.RECORDS:
        lines = convert.translated(file, model, found, Place(), max_line_bytes=MAX_LINE)
    else:
        if not recipe.renders:
            missing = convert.RECIPE_MISSING
            raise PermanentError(
                f"{missing.message} {missing.fix} (Or name one: --recipe.)",
                code=missing.code,
            )
        seekable: BinaryIO | None = (
            path.open("rb") if file.suffix == PARQUET and not file.zipped else None
        )
        typed = recipe.output.joins_parquet
        entries = convert.entries(
            file,
            found,
            Place(),
            seekable=seekable,
            max_line_bytes=MAX_LINE,
            typed=typed,
        )
        lines = convert.rendered(compile_recipe(recipe), entries, found)
    converted = file.dialect is not LineForm.GEMINI
    return Checked(
        file.kind, _examined(lines, model, converted=converted), found, model, converted
    )


def _examined(
    lines: Iterator[bytes], model: str, *, converted: bool
) -> Iterator[tuple[int, bytes | Rejected]]:
    for number, (raw, _) in enumerate(
        split_lines(lines, max_line_bytes=MAX_LINE * 2), 1
    ):
        if raw is None or len(raw) > MAX_LINE:
            code = Code.LINE_TOO_LONG
            yield (
                number,
                Rejected(
                    b"null",
                    code,
                    "",
                    f"The line is longer than {MAX_LINE} bytes.",
                    code.fix,
                ),
            )
        elif raw.strip():
            result = examine(raw, model, converted=converted)
            yield number, result if isinstance(result, Rejected) else raw


def _refuse_name(name: str) -> None:
    """Refuse a file that no stack would run, by its name.

    Raises:
        PermanentError: The code says why.
    """
    refused = refused_name(name)
    if refused is not None:
        raise PermanentError(f"{refused.message} {refused.fix}", code=refused.code)
    if form_of(name) not in (Form.UPLOAD, Form.JSON):
        message = "A stack passes over a file of this name. Name it .jsonl, .json, .csv, .tsv or .parquet."
        raise PermanentError(message, code="NO_UPLOAD")


def _able(file: Checked, found: Found) -> Iterator[tuple[int, bytes | Rejected]]:
    """Yield the lines again, those rejected too that their model or the lines before rule out."""
    kind: BatchKind | None = None
    no_pictures = draws_nothing(file.model or DEFAULT_MODEL)
    for number, result in file.lines:
        if isinstance(result, Rejected):
            yield number, result
            continue
        line = examine(result, file.model, converted=file.converted)
        if isinstance(line, Rejected):
            continue
        kind = kind or line.kind
        found.kind = kind
        found.naming += line.media and may_name(result) and bool(addresses(result))
        if line.kind is not kind:
            code = Code.MIXED_KINDS
            message = "The file mixes embedding requests with generation requests."
            yield number, Rejected(line.key, code, "/request", message, code.fix)
        elif no_pictures and may_ask_images(result) and request(result).asks_images:
            yield number, no_images(line.key, file.model or DEFAULT_MODEL)
        else:
            yield number, result


@dataclass(slots=True)
class Found:
    """What the lines turned out to be."""

    kind: BatchKind | None = None
    naming: int = 0
    """Lines that name objects."""


def _of_model(file: Checked, found: Found) -> tuple[list[Failure], list[str]]:
    """Say what stands in the model's way, and what only the stack will see."""
    model = file.model or DEFAULT_MODEL
    info = table(model)
    unable = cannot(model, found.kind, info) if found.kind and info else None
    wrong = [failure for failure in (foreign(model), unable) if failure is not None]
    notes: list[str] = []
    if not file.model:
        notes = [
            f"{failure.code}: {failure.message} {failure.fix}" for failure in wrong
        ]
        wrong = []
    elif info is None and not wrong:
        notes = [
            f"the model {model} was not there when this version was made; the stack asks the provider"
        ]
    if found.naming:
        lines = "1 line names" if found.naming == 1 else f"{found.naming:,} lines name"
        notes.append(
            f"{lines} objects; whether they are there and allowed, the stack sees when the file is uploaded"
        )
    return wrong, notes


def _validate(parsed: argparse.Namespace) -> int:
    """Exit code 0: every line can run; 1: some cannot."""
    file = checked(parsed.file, parsed.recipe, parsed.model)
    found = Found()
    good = bad = 0
    for number, result in _able(file, found):
        if not isinstance(result, Rejected):
            good += 1
            continue
        bad += 1
        problem = {"line": number, "code": result.code, "pointer": result.pointer}
        problem |= {"message": result.message, "fix": result.fix}
        if parsed.json:
            print(json.dumps(problem, ensure_ascii=False))
        elif bad <= SHOWN:
            print(
                f"{parsed.file}:{number}: {result.code} {result.pointer}: {result.message} {result.fix}"
            )
    wrong, notes = _of_model(file, found)
    warnings = [*file.found.sentences(), *notes]
    if parsed.json:
        print(
            json.dumps(
                {
                    "dialect": file.kind,
                    "requests": good,
                    "rejections": bad,
                    "warnings": warnings,
                }
                | _said(wrong)
            )
        )
    else:
        for warning in warnings:
            print(f"warning: {warning}")
        for failure in wrong:
            print(f"{parsed.file}: {failure.code}: {failure.message} {failure.fix}")
        print(f"{file.kind}: {good:,} requests, {bad:,} rejections")
    return 1 if bad or wrong or not good else 0


def _said(wrong: list[Failure]) -> dict[str, list[dict[str, str]]]:
    errors = [
        {"code": entry.code, "message": entry.message, "fix": entry.fix}
        for entry in wrong
    ]
    return {"errors": errors} if errors else {}


def _convert(parsed: argparse.Namespace) -> int:
    """Write what can run to standard output, what cannot to standard error."""
    file = checked(parsed.file, parsed.recipe, parsed.model)
    bad = 0
    for number, result in file.lines:
        if isinstance(result, Rejected):
            bad += 1
            sys.stderr.write(
                f"{parsed.file}:{number}: {result.code} {result.pointer}: {result.message}\n"
            )
        else:
            sys.stdout.buffer.write(result + b"\n")
    for warning in file.found.sentences():
        sys.stderr.write(f"warning: {warning}\n")
    return 1 if bad else 0


def _estimate(parsed: argparse.Namespace) -> int:
    """Say low, likely and high for batch, batch with a cache, flex and standard; 4 characters count as a token."""
    file = checked(parsed.file, parsed.recipe, parsed.model)
    now, model = datetime.now(UTC), file.model or DEFAULT_MODEL
    watch = Watch(minimum_tokens(model) * BYTES_PER_TOKEN)
    job = _expected(file, parsed.output_tokens, watch)
    cached, reason = _with_cache(job, model, watch, parsed.hours, now)
    ranges = {
        "batch": estimate(job, model, Processing.BATCH, now),
        "batch + cache": cached,
        "flex": estimate(job, model, Processing.FLEX, now),
        "standard": estimate(job, model, Processing.STANDARD, now),
    }
    if parsed.json:
        ways = {name: found.as_json() for name, found in ranges.items()}
        body = {
            "model": model,
            "requests": job.requests,
            "input_tokens": job.input[1],
            "source": source(),
            **ways,
        }
        print(json.dumps(body))
        return 0
    print(
        f"{job.requests:,} requests, about {job.input[1]:,} input tokens, {model}; USD, {source()}"
    )
    for name, found in ranges.items():
        print(f"  {name:<14} {_dollars(found)}")
    print(f"cache: {reason}: {SENTENCES[reason]}")
    return 0


def _with_cache(
    job: Expected, model: str, watch: Watch, hours: float, now: datetime
) -> tuple[Range, str]:
    """Return what the job costs when its shared beginning is cached, and whether that pays."""
    best = watch.best()
    length = watch.characters(best) if best else None
    if best is None or length is None:
        reason = "NOTHING_SHARED" if best is None else "NOT_COUNTED"
        return Range(None, None, None, reason), reason
    count = length // 4
    found = decide(model, count, best.requests, hours, now)
    if found.cost is None:
        return Range(None, None, None, found.reason), found.reason
    share = min(best.requests * count / max(job.input[1], 1), 1.0)
    return plus(
        estimate(job, model, Processing.BATCH, now, cached_share=share), found.cost
    ), found.reason


def _expected(file: Checked, output_tokens: int | None, watch: Watch) -> Expected:
    requests = total = limit_ = unlimited = embeds = 0
    for _, result in file.lines:
        if isinstance(result, Rejected):
            continue
        found = examine(result, file.model, converted=file.converted)
        if isinstance(found, Rejected):
            continue
        watch.see(result)
        requests, total = requests + 1, total + found.tokens
        embeds += found.kind is BatchKind.EMBED
        most = view(body_of(result, longer=False)).output_limit
        limit_, unlimited = max(limit_, most or 0), unlimited + (most is None)
    return expected(
        requests,
        total,
        counted=False,
        output_likely=output_tokens,
        output_limit=limit_ if limit_ and not unlimited else None,
        embeds=bool(embeds),
    )


def _dollars(found: Range) -> str:
    if found.likely is None:
        return f"unknown: {found.reason}"
    amounts = (
        f"{found.low:>14,.6f} to {found.high:>14,.6f}, likely {found.likely:>14,.6f}"
    )
    return amounts + (f"  ({', '.join(found.flags)})" if found.flags else "")


def _recipe(path: Path, given: Path | None, model: str) -> Recipe:
    beside = given or path.parent / RECIPE_NAME
    recipe = parse_recipe(beside.read_bytes()) if given or beside.exists() else Recipe()
    if not isinstance(recipe, list):
        recipe = merged(recipe, {"model": model} if model else {})
    if isinstance(recipe, list):
        first = recipe[0]
        raise PermanentError(
            f"{beside}:{first.line}: {first.field}: {first.message} {first.fix}",
            code="RECIPE_INVALID",
        )
    return recipe


def _chunks(path: Path) -> Iterator[bytes]:
    with nullcontext(sys.stdin.buffer) if path == STDIN else path.open("rb") as file:
        while chunk := file.read(MIB):
            yield chunk


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "validate": _validate,
    "convert": _convert,
    "estimate": _estimate,
}
