"""Named lines: what a service objects to before it runs anything of a batch becomes the rows of these lines.

The other lines were never asked: a child takes them up, in the same round.
"""

from __future__ import annotations

from collections.abc import Iterator

from batchdrop.core.result.order import Item
from batchdrop.core.result.result import Fault, Result
from batchdrop.core.settings import WriteSettings
from batchdrop.core.state.job import Job
from batchdrop.core.state.shard import Shard
from batchdrop.steps.context import Context
from batchdrop.steps.shard_lines import line_numbers


def named_results(
    context: Context[WriteSettings], job: Job, shard: Shard
) -> Iterator[Item[Result]]:
    """Yield a fault for each line that is named, in order."""
    named = {line.position: line for line in shard.batch.named_lines}
    for position, number in enumerate(line_numbers(context, job, shard), 1):
        line = named.get(position)
        if line is not None:
            yield (
                number,
                len(line.message),
                Result(fault=Fault(line.code, line.message)),
            )
