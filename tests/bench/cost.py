"""What a million requests cost on Google Cloud at list prices, and a stack at rest for a month.

    operations   counted at the ports during a run of this machine, scaled to a million requests in one file, and in
                 10,000 files of a hundred
    seconds      the functions' own here, and for each call and byte the wait in the cloud assumed below
    compared     with the Gemini bill of the same requests: 500 tokens in, 100 out, Flash-Lite, batch

Everything written is taken as stored for a whole month, although work objects live for a day at most.
Reads of a query are its documents, at least one; writes of objects and lists are class A, reads class B, deletes free.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Final

from batchdrop.core.limits import GIB
from batchdrop_pulumi.images import KEPT
from batchdrop_pulumi.services import PUSHED, SERVICES
from tests.bench.counting import Tally
from tests.bench.data import lines
from tests.bench.figures import Figure, Size
from tests.bench.prices import cost
from tests.bench.stands import Stand, stand

LINE_BYTES: Final = 2_100
"""About 500 tokens at four characters a token, and the envelope."""
REQUESTS: Final = {Size.SMALL: 5_000, Size.FULL: 100_000}
FILES: Final = {Size.SMALL: 20, Size.FULL: 200}
FILE_REQUESTS: Final = 100
MILLION: Final = 1_000_000
SWEEP_LATER: Final = timedelta(seconds=700)
MESSAGE_BYTES: Final = 2_000
"""Published and pushed, each at least 1 kB."""
CALL_SECONDS: Final = 0.03
"""Assumed wait for one call to a service of the same region."""
BYTES_PER_SECOND: Final = 100_000_000
"""Assumed speed of a transfer to or from a bucket or the provider."""
MEMORY_GIB: Final = {"submit": 1.0, "poll": 0.5, "write": 1.0}
"""As `batchdrop_pulumi/services.py` sets it, each with one vCPU."""
TICKS: Final = 60 * 24 * 30
SWEEPS: Final = TICKS // 10
LOOKS: Final = 2 * 60 * 24 * 30
"""How often Cloud Monitoring evaluates a condition in a month."""
IMAGE_GB: Final = 0.12 * KEPT * len(SERVICES)
"""Assumed size of an image, and those kept of each function."""
GEMINI_TOKENS: Final = {"input_token": 500.0 * MILLION, "output_token": 100.0 * MILLION}
SHARE: Final = 0.01


def run(size: Size) -> Iterator[Figure]:
    """Measure one large upload, many small ones and idle ticks, then price them."""
    yield _priced("in one file", spent(REQUESTS[size], 1))
    yield _priced(f"in {MILLION // FILE_REQUESTS:,} files", spent(FILE_REQUESTS * FILES[size], FILES[size]))
    rest, alerts = _at_rest(), _alerts()
    total = sum((*rest.values(), *alerts.values()), Decimal(0))
    yield _month("at rest", rest)
    yield _month("alerts", alerts)
    yield Figure("cost", "at rest with alerts for a month, US dollars", float(total), "$")


def spent(requests: int, files: int) -> dict[str, float]:
    """Run so many requests in so many files; return what a million of them would use, by the names of the prices."""
    with stand() as it:
        per_file = requests // files
        infos = [it.put(lines(per_file, LINE_BYTES), f"bench/{number}.jsonl") for number in range(files)]
        it.tally.clear()
        for info in infos:
            it.announce(info)
        it.deliver()
        it.tick()
        it.deliver()
        results = sum(it.job(info).counts.results for info in infos)
        uploaded = sum(info.size for info in infos)
        stored = 2 * uploaded + it.tally.bytes["object.write"]  # upload, snapshot, what was written: kept a month
        amounts = _amounts(it.tally, it.seconds) | {"storage": stored / 1e9}
        return {name: amount * MILLION / results for name, amount in amounts.items()}


def _priced(how: str, million: dict[str, float]) -> Figure:
    priced = cost(million)
    bill = sum(cost(GEMINI_TOKENS).values(), Decimal(0))
    total = sum(priced.values(), Decimal(0))
    context: dict[str, float | str] = {
        "share of Gemini's": f"{100 * total / bill:.2f} %",
        "Gemini": f"${bill:.2f}",
        "vCPU-s": million["vcpu_second"],
        "firestore writes": million["write"],
        "class A": million["class_a"],
    }
    context |= {name: f"${dollars:.4f}" for name, dollars in priced.items()}
    return Figure(
        "cost", f"a million requests {how}, US dollars", float(total), "$", None, float(bill) * SHARE, context
    )


def _at_rest() -> dict[str, Decimal]:
    """Price a month of ticks that find nothing, one sweep in ten."""
    with stand() as it:
        _tick(it)
        idle = _tick(it)
        it.stack.clock.ahead += SWEEP_LATER
        sweep = _tick(it)
    month = {name: idle[name] * (TICKS - SWEEPS) + sweep[name] * SWEEPS for name in idle}
    return cost(month | {"scheduler_job": 1, "secret": 1, "image_gb": IMAGE_GB})


def _alerts() -> dict[str, Decimal]:
    """Price a month of the deployed alerts: what a stack without any does not pay."""
    series = {"messages": 2 * len(PUSHED), "silence": 1, "errors": 0}
    return cost({"alert_condition": len(series), "alert_series": sum(series.values()) * LOOKS})


def _month(what: str, priced: dict[str, Decimal]) -> Figure:
    context: dict[str, float | str] = {name: f"${dollars:.3f}" for name, dollars in priced.items()}
    total = float(sum(priced.values(), Decimal(0)))
    return Figure("cost", f"{what} for a month, US dollars", total, "$", None, 1.0, context)


def _tick(it: Stand) -> dict[str, float]:
    it.tally.clear()
    it.seconds.clear()
    it.tick()
    return _amounts(it.tally, it.seconds)


def _amounts(tally: Tally, seconds: dict[str, float]) -> dict[str, float]:
    """Return what a run used, by the names of the prices."""
    calls = tally.calls
    queries, found = calls["documents.query"], tally.documents["documents.query"]
    waiting = sum(calls.values()) * CALL_SECONDS + sum(tally.bytes.values()) / BYTES_PER_SECOND
    billed = {name: spent + waiting * spent / sum(seconds.values()) for name, spent in seconds.items()}
    messages = calls["topics.publish"]
    return {
        "vcpu_second": sum(billed.values()),
        "gib_second": sum(spent * MEMORY_GIB[name] for name, spent in billed.items()),
        "invocation": messages + 1.0,
        "read": calls["documents.get"] + max(found, queries),
        "write": calls["documents.create"] + calls["documents.replace"],
        "delete": calls["documents.delete"],
        "class_a": calls["objects.create"] + calls["objects.copy"] + calls["objects.list"],
        "class_b": calls["objects.stat"] + calls["objects.read"],
        "message_tib": 2 * messages * MESSAGE_BYTES / (1024 * GIB),
    }
