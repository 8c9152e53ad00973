"""A batch as the service shows it: a long-running operation, its output twice, counters as strings.

Shape: real captures in python-genai issue 1323 and the cookbook's batch notebook (wire facts, section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from batchdrop_local.emulators.gemini.batches import Batch, State, has_output
from batchdrop_local.emulators.gemini.wire import stamp, without_empty
from batchdrop_local.emulators.http import Json

_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main."


def operation(
    batch: Batch, state: State, now: float, rows: Iterator[bytes] | None = None
) -> Json:
    """Return the operation.

    Args:
        batch: The batch.
        state: Its state at `now`.
        now: The time.
        rows: The result lines of an inline batch; without them its output is left out, as in lists.
    """
    kind = _TYPE + (
        "EmbedContentBatch" if batch.kind == "embed" else "GenerateContentBatch"
    )
    output = _output(batch, state, rows)
    metadata = without_empty(
        {
            "@type": kind,
            "model": f"models/{batch.model}",
            "displayName": batch.display_name,
            "output": output,
            "createTime": stamp(batch.created),
            "endTime": stamp(state.since) if state.ended else "",
            "updateTime": stamp(now if not state.ended else state.since),
            "batchStats": _stats(batch, state),
            "state": f"BATCH_STATE_{state.word}",
            "priority": str(batch.priority) if batch.priority else "",
            "name": batch.name,
        }
    )
    found: Json = {"name": batch.name, "metadata": metadata}
    if state.ended:
        found["done"] = True
    if output:
        found["response"] = {"@type": f"{kind}Output", **output}
    if state.word in ("FAILED", "CANCELLED", "EXPIRED"):
        found["error"] = error_of(batch, state)
    return found


def error_of(batch: Batch, state: State) -> Json:
    """Return the google.rpc.Status of a batch that did not succeed."""
    if state.word == "CANCELLED":
        return {"code": 1, "message": "The operation was cancelled."}
    if state.word == "EXPIRED":
        return {"code": 4, "message": "The batch expired before it was completed."}
    line = batch.tally.poison_line or (
        batch.tally.malformed_line if batch.faults.malformed_fails_batch else 0
    )
    if not line:
        return {"code": batch.faults.fail_code, "message": batch.faults.fail_message}
    named = f" (line {line})" if batch.faults.poison_names_line else ""
    return {"code": 3, "message": f"The input file has an invalid request{named}."}


def _output(batch: Batch, state: State, rows: Iterator[bytes] | None) -> Json | None:
    if not has_output(batch, state):
        return None
    if not batch.inline:
        return {"responsesFile": batch.output}
    if rows is None:
        return None
    items: list[Json] = []
    for row in rows:
        item = msgspec.json.decode(row, type=Json)
        metadata = item.pop("key", None)
        items.append(item | ({"metadata": metadata} if metadata else {}))
    return {"inlinedResponses": {"inlinedResponses": items}}


def _stats(batch: Batch, state: State) -> dict[str, str]:
    """Counters are strings and zeros are left out (python-genai issue 1323)."""
    tally, ended = batch.tally, state.word in ("SUCCEEDED", "PARTIALLY_SUCCEEDED")
    counts = {
        "requestCount": tally.requests,
        "successfulRequestCount": tally.requests - tally.failed if ended else 0,
        "failedRequestCount": tally.failed if ended else 0,
        "pendingRequestCount": 0 if ended else tally.requests,
    }
    return {name: str(count) for name, count in counts.items() if count}
