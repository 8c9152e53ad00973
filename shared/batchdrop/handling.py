"""Between HTTP and the steps: a push becomes one call, its outcome one of two answers.

    204  acknowledged: done, or reported because no repetition can help, or another worker owns the record
    503  not acknowledged: deliver it again

Nothing else is ever answered, and no exception's text reaches the log: it could quote content (P8). The sentences of
our own errors hold none, so those that a person must act on are logged.

Each function imports its own steps when it has its first message: the others' are 0.1 s of a cold start.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from traceback import FrameSummary
from typing import Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import (
    BatchdropError,
    ConfigurationError,
    LeaseLostError,
    PermanentError,
)
from batchdrop.core.logs import log
from batchdrop.core.settings import PollSettings, SubmitSettings, WriteSettings
from batchdrop.core.state.messages import Uploaded, Wake, decode_message, decode_push
from batchdrop.steps.context import Context

Response = tuple[str, int]
ACK: Response = ("", 204)
NACK: Response = ("", 503)
_PACKAGE: Final = Path(__file__).parent


def on_submit(context: Context[SubmitSettings], body: bytes) -> None:
    """Take a pushed storage notification, or the wake of a job or a shard, one step on."""
    from batchdrop.steps.plan.advance import advance_job
    from batchdrop.steps.plan.receive import receive
    from batchdrop.steps.submit.submit import advance_shard

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
    from batchdrop.steps.finalize.finalize import advance_output
    from batchdrop.steps.write.write import write_shard

    message = decode_message(decode_push(body))
    if not isinstance(message, Wake):
        raise PermanentError("only wakes belong on this topic", code=Code.WAKE_INVALID)
    if message.shard_id is not None and not write_shard(context, message.shard_id):
        return
    advance_output(context, message.job_id)


def on_poll(context: Context[PollSettings], body: bytes) -> None:
    """Look at the batch that a pushed wake names; the scheduler, which pushes nothing, gets its tick."""
    if not body.strip():
        on_tick(context)
        return
    from batchdrop.steps.poll.look import look_at_shard

    message = decode_message(decode_push(body))
    if not isinstance(message, Wake) or message.shard_id is None:
        raise PermanentError(
            "only wakes of shards belong on this topic", code=Code.WAKE_INVALID
        )
    look_at_shard(context, message.shard_id)


def on_tick(context: Context[PollSettings]) -> None:
    """Do the scheduler's tick."""
    from batchdrop.steps.poll.tick import tick

    tick(context)


def answered(work: Callable[[], None]) -> Response:
    """Run the work and answer the caller: the one place that catches everything."""
    try:
        work()
    except LeaseLostError as error:
        log("another worker is on it", code=error.code)
    except PermanentError as error:
        log(
            "message reported and acknowledged",
            severity="ERROR",
            code=error.code,
            sentence=error.sentence,
        )
    except ConfigurationError as error:
        log(
            "a person must change the configuration",
            severity="ERROR",
            code=error.code,
            sentence=error.sentence,
        )
        return NACK
    except BatchdropError as error:
        log("message will be delivered again", severity="WARNING", code=error.code)
        return NACK
    except Exception as error:  # noqa: BLE001 - the one catch-all
        raised, own = _places(error)
        log(
            "crash",
            severity="ERROR",
            error=type(error).__name__,
            file=Path(raised.filename).name,
            line=raised.lineno,
            own_file=Path(own.filename).relative_to(_PACKAGE).as_posix(),
            own_line=own.lineno,
        )
        return NACK
    return ACK


def _places(error: Exception) -> tuple[FrameSummary, FrameSummary]:
    """Return where it was raised, which says little in a library, and the line of ours that led there."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    return frames[-1], ours[-1]
