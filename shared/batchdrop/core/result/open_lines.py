"""Lines that are open: what stands in place of an answer that is not there, and what another try at a line would be."""

from __future__ import annotations

import msgspec

from batchdrop.core.codes import Code
from batchdrop.core.result.outcome import Answer, Outcome, missing, redo_kind
from batchdrop.core.state.batch import BatchState, Cause
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import DEADLINE, Shard, ShardKind
from batchdrop.core.value import Failure


def unanswered(shard: Shard) -> Answer:
    """Return the answer of a line that has none, with the reason the shard knows."""
    state = shard.batch.state
    if shard.stop is not None:
        return missing(shard.stop.code, shard.stop.message)
    if shard.results_lost:
        return missing(Code.RESULTS_LOST, Code.RESULTS_LOST.sentence)
    if state is BatchState.FAILED:
        return _failed_whole(shard)
    if state is BatchState.SUCCEEDED:
        message = "The batch succeeded without a result for this line."
        return missing(Code.NO_ANSWER, message)
    if shard.route.asks:
        return missing(Code.NO_ANSWER, "No call was sent for this line.")
    return missing(f"BATCH_{state}", "The batch ended before this line was answered.")


def _failed_whole(shard: Shard) -> Answer:
    """Return the answer in a batch that failed whole: another try may help, unless we made the lines wrongly."""
    failure = shard.batch.failure or Failure(code="UNKNOWN", message="")
    message = failure.message or "The batch failed."
    nothing = missing(f"BATCH_FAILED_{failure.code}", message)
    return msgspec.structs.replace(nothing, passing=shard.batch.cause is not Cause.OURS)


def another_try(
    job: Job, shard: Shard, answer: Answer, rounds: int
) -> ShardKind | None:
    """Return what another try at a line would be, None for none.

    A stopped shard has none, unless the job finishes at once.
    """
    if shard.stop is None and answer.outcome is Outcome.MISSING and shard.rest_kind:
        return shard.rest_kind
    if shard.stop is None:
        return redo_kind(answer, shard.kind, shard.round, rounds)
    if shard.kind is ShardKind.LATE or job.finish != "standard":
        return None
    late = shard.stop.code == DEADLINE.code and answer.passing
    return ShardKind.LATE if late else None
