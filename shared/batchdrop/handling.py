"""Between HTTP and the use cases: a push becomes one call, its outcome one of two answers.

    204  acknowledged: done, or reported because no repetition can help, or another worker owns the record
    503  not acknowledged: deliver it again

Nothing else is ever answered, and no exception text reaches the log: it could quote content (P8).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from batchdrop.core.errors import BatchdropError, LeaseLostError, PermanentError
from batchdrop.core.logs import log
from batchdrop.core.messages import Uploaded, Wake, decode_message, decode_push
from batchdrop.core.settings import PollSettings, SubmitSettings, WriteSettings
from batchdrop.usecases.advancing import advance_job
from batchdrop.usecases.context import Context
from batchdrop.usecases.finalizing import advance_output
from batchdrop.usecases.intake import receive
from batchdrop.usecases.polling import tick
from batchdrop.usecases.submission import advance_shard
from batchdrop.usecases.writing import write_shard

Response = tuple[str, int]
ACK: Response = ("", 204)
NACK: Response = ("", 503)


def on_submit(context: Context[SubmitSettings], body: bytes) -> None:
    """Take a pushed storage notification, or the wake of a job or a shard, one step on."""
    message = decode_message(decode_push(body))
    if isinstance(message, Uploaded):
        job_id = receive(context, message)
        if job_id is not None:
            advance_job(context, job_id)
    elif isinstance(message, Wake):
        if message.shard_id is None:
            advance_job(context, message.job_id)
        else:
            advance_shard(context, message.shard_id)


def on_write(context: Context[WriteSettings], body: bytes) -> None:
    """Take a pushed completion wake: write the shard's rows, then the job's output when it is complete."""
    message = decode_message(decode_push(body))
    if not isinstance(message, Wake):
        raise PermanentError("only wakes belong on this topic", code="WAKE_INVALID")
    if message.shard_id is not None and not write_shard(context, message.shard_id):
        return
    advance_output(context, message.job_id)


def on_tick(context: Context[PollSettings]) -> None:
    """Do the scheduler's tick."""
    tick(context)


def answered(work: Callable[[], None]) -> Response:
    """Run the work and answer the caller: the one place that catches everything."""
    try:
        work()
    except LeaseLostError as error:
        log("another worker is on it", code=error.code)
    except PermanentError as error:
        log("message reported and acknowledged", severity="ERROR", code=error.code, sentence=error.sentence)
    except BatchdropError as error:
        log("message will be delivered again", severity="WARNING", code=error.code)
        return NACK
    except Exception as error:  # noqa: BLE001 - the one catch-all
        where = traceback.extract_tb(error.__traceback__)[-1]
        log(
            "crash",
            severity="ERROR",
            error=type(error).__name__,
            file=where.filename.rpartition("/")[2],
            line=where.lineno,
        )
        return NACK
    return ACK
