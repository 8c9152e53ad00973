"""A call's way through the faults in force: delayed, refused, dropped, answered, lost or cut."""

from __future__ import annotations

import threading
from collections.abc import Callable

from batchdrop_local.emulators.gemini.faults import CallFault
from batchdrop_local.emulators.gemini.wire import ApiError
from batchdrop_local.emulators.http import Answer, Call, RefusedError, Reply


def answer(
    call: Call, fault: CallFault, action: Callable[[], Reply], stopped: threading.Event
) -> Answer:
    """Do what a call asks for, unless the fault forbids it.

    Raises:
        ConnectionAbortedError: The caller gets no answer.
    """
    try:
        _before(fault, stopped)
        reply = action()
    except ApiError as error:
        return Answer(Reply(error.body(), status=error.status))
    except RefusedError as error:
        return Answer(
            Reply(ApiError(error.status, error.message).body(), status=error.status)
        )
    call.drain()
    if fault.lose or fault.hang_seconds:
        stopped.wait(fault.hang_seconds)
        raise ConnectionAbortedError
    return Answer(reply, fault.cut_after_bytes)


def _before(fault: CallFault, stopped: threading.Event) -> None:
    if fault.delay_seconds:
        stopped.wait(fault.delay_seconds)
    if fault.drop:
        raise ConnectionAbortedError
    if fault.status:
        retry = fault.retry_seconds if fault.status == 429 else None
        raise ApiError(
            fault.status, "The emulator was told to refuse this call.", retry
        )
