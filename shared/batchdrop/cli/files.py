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
from typing import BinaryIO, Final

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
from batchdrop.dialects.dialect import Dialect, Watch
from batchdrop.dialects.known import convert
from batchdrop.dialects.known.convert import PARQUET, Findings, Opened
from batchdrop.dialects.known.render import renderer
from batchdrop.dialects.known.spoken import SPOKEN
from batchdrop.dialects.line import Accepted, LineForm, Rejected
from batchdrop.ports import BatchKind, ModelInfo

SHOWN = 100
LANGUAGE: Final[Dialect] = SPOKEN["gemini"]
"""Files are looked at as a stack does that configures no provider: as its own one."""
MODELS: Final = LANGUAGE.models
DEFAULT_MODEL: Final = MODELS.DEFAULT if MODELS else ""
"""The stack's default, unless the recipe or --model names another."""
MAX_LINE = limit("input_line")
STDIN = Path("-")
"""Standard input, taken for JSON lines."""


@dataclass(slots=True)
class Checked:
    """A file's lines, each as a line of the stack's language or what is wrong with it."""

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
    if file.array:
        members = convert.unwrapped(file, Place(), max_line_bytes=MAX_LINE)
        file = replace(file, chunks=members, array=False)
    found = Findings()
    lines = _lines(path, file, recipe, found)
    converted = not file.has_lines_of(LANGUAGE.form)
    examined = _examined(lines, model, converted=converted)
    return Checked(file.kind(LANGUAGE.form), examined, found, model, converted)


def _lines(
    path: Path, file: Opened, recipe: Recipe, found: Findings
) -> Iterator[bytes]:
    """Return the file as lines of the stack's language.

    Raises:
        PermanentError: RECIPE_MISSING.
    """
    if file.has_lines_of(LANGUAGE.form):
        return file.chunks
    if file.form is not LineForm.RECORDS:
        return convert.translated(
            file, LANGUAGE, recipe.model or "", found, Place(), max_line_bytes=MAX_LINE
        )
    if not recipe.renders:
        missing = convert.RECIPE_MISSING
        message = f"{missing.message} {missing.fix} (Or name one: --recipe.)"
        raise PermanentError(message, code=missing.code)
    seekable: BinaryIO | None = None
    if file.suffix == PARQUET and not file.zipped:
        seekable = path.open("rb")
    entries = convert.entries(
        file,
        found,
        Place(),
        seekable=seekable,
        max_line_bytes=MAX_LINE,
        typed=recipe.output.joins_parquet,
    )
    return convert.rendered(renderer(LANGUAGE, recipe), entries, found)


def _examined(
    lines: Iterator[bytes], model: str, *, converted: bool
) -> Iterator[tuple[int, bytes | Rejected]]:
    cut = split_lines(lines, max_line_bytes=MAX_LINE * 2)
    for number, (raw, _) in enumerate(cut, 1):
        if raw is None or len(raw) > MAX_LINE:
            code = Code.LINE_TOO_LONG
            message = f"The line is longer than {MAX_LINE} bytes."
            yield number, Rejected(b"null", code, "", message, code.fix)
        elif raw.strip():
            result = LANGUAGE.check(raw, model, converted=converted)
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
        raise PermanentError(message, code=Code.NO_UPLOAD)


def _able(file: Checked, found: Found) -> Iterator[tuple[int, bytes | Rejected]]:
    """Yield the lines again, those rejected too that their model or the lines before rule out."""
    for number, result in file.lines:
        if isinstance(result, Rejected):
            yield number, result
            continue
        line = LANGUAGE.check(result, file.model, converted=file.converted)
        if isinstance(line, Rejected):
            continue
        found.kind = found.kind or line.kind
        found.naming += _names_objects(line, result)
        yield number, _ruled_out(file, found.kind, line, result) or result


def _names_objects(line: Accepted, raw: bytes) -> bool:
    return line.media and LANGUAGE.may_name(raw) and bool(LANGUAGE.addresses(raw))


def _ruled_out(
    file: Checked, kind: BatchKind, line: Accepted, raw: bytes
) -> Rejected | None:
    """Say why a line cannot run beside those before it, or on the file's model."""
    if line.kind is not kind:
        code = Code.MIXED_KINDS
        message = "The file mixes embedding requests with generation requests."
        return Rejected(line.key, code, "/request", message, code.fix)
    model, images = file.model or DEFAULT_MODEL, LANGUAGE.images
    if images and images.draws_nothing(model) and images.asked(raw):
        return images.no_images(line.key, model)
    return None


@dataclass(slots=True)
class Found:
    """What the lines turned out to be."""

    kind: BatchKind | None = None
    naming: int = 0
    """Lines that name objects."""


def _of_model(file: Checked, found: Found) -> tuple[list[Failure], list[str]]:
    """Say what stands in the model's way, and what only the stack will see."""
    model = file.model or DEFAULT_MODEL
    info = MODELS.table(model) if MODELS else None
    wrong = _wrong_model(model, found.kind, info)
    notes: list[str] = []
    if not file.model:
        notes = [f"{each.code}: {each.message} {each.fix}" for each in wrong]
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


def _wrong_model(
    model: str, kind: BatchKind | None, info: ModelInfo | None
) -> list[Failure]:
    """Say why a model cannot run the file's lines, or is none of this language."""
    if MODELS is None:
        return []
    foreign = MODELS.foreign(model)
    wrong = [foreign] if foreign else []
    if kind and info and info.said and kind not in info.batches:
        wrong.append(MODELS.cannot(model, kind))
    return wrong


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
        _say_rejected(parsed, number, result, shown=bad <= SHOWN)
    wrong, notes = _of_model(file, found)
    warnings = [*file.found.sentences(), *notes]
    if parsed.json:
        body = {"dialect": file.kind, "requests": good, "rejections": bad}
        print(json.dumps(body | {"warnings": warnings} | _said(wrong)))
    else:
        for warning in warnings:
            print(f"warning: {warning}")
        for failure in wrong:
            print(f"{parsed.file}: {failure.code}: {failure.message} {failure.fix}")
        print(f"{file.kind}: {good:,} requests, {bad:,} rejections")
    return 1 if bad or wrong or not good else 0


def _say_rejected(
    parsed: argparse.Namespace, number: int, result: Rejected, *, shown: bool
) -> None:
    """Print what is wrong with a line: as JSON always, in words when it is among those shown."""
    code, pointer, message, fix = (
        result.code,
        result.pointer,
        result.message,
        result.fix,
    )
    if parsed.json:
        problem = {"line": number, "code": code, "pointer": pointer}
        problem |= {"message": message, "fix": fix}
        print(json.dumps(problem, ensure_ascii=False))
    elif shown:
        print(f"{parsed.file}:{number}: {code} {pointer}: {message} {fix}")


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
    least, beginnings = minimum_tokens(model) * BYTES_PER_TOKEN, LANGUAGE.beginnings
    watch = beginnings.watch(least) if beginnings else None
    job = _expected(file, parsed.output_tokens, watch)
    cached, reason = _with_cache(job, model, watch, parsed.hours, now)
    ranges = {
        "batch": estimate(job, model, Processing.BATCH, now),
        "batch + cache": cached,
        "flex": estimate(job, model, Processing.FLEX, now),
        "standard": estimate(job, model, Processing.STANDARD, now),
    }
    tokens = job.input[1]
    if parsed.json:
        body = {"model": model, "requests": job.requests, "input_tokens": tokens}
        ways = {name: found.as_json() for name, found in ranges.items()}
        print(json.dumps({**body, "source": source(), **ways}))
        return 0
    print(
        f"{job.requests:,} requests, about {tokens:,} input tokens, {model}; USD, {source()}"
    )
    for name, found in ranges.items():
        print(f"  {name:<14} {_dollars(found)}")
    print(f"cache: {reason}: {SENTENCES[reason]}")
    return 0


def _with_cache(
    job: Expected, model: str, watch: Watch | None, hours: float, now: datetime
) -> tuple[Range, str]:
    """Return what the job costs when its shared beginning is cached, and whether that pays."""
    best = watch.best() if watch else None
    length = watch.characters(best) if watch and best else None
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


def _expected(
    file: Checked, output_tokens: int | None, watch: Watch | None
) -> Expected:
    requests = total = limit_ = unlimited = embeds = 0
    for _, result in file.lines:
        if isinstance(result, Rejected):
            continue
        found = LANGUAGE.check(result, file.model, converted=file.converted)
        if isinstance(found, Rejected):
            continue
        if watch:
            watch.see(result)
        requests, total = requests + 1, total + found.tokens
        embeds += found.kind is BatchKind.EMBED
        most = LANGUAGE.request(result).output_limit
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
            code=Code.RECIPE_INVALID,
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
