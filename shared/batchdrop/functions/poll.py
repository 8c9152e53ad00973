"""Function `poll`: the ticks of Cloud Scheduler, and wakes to look at one batch, pushed by Pub/Sub."""

from __future__ import annotations

from functools import cache

from flask import Request

from batchdrop.core.settings import PollSettings
from batchdrop.functions.starting import started
from batchdrop.handling import Response, answered, on_poll
from batchdrop.steps.context import Context


@cache
def context() -> Context[PollSettings]:
    """Build settings and clients once for each instance."""
    return started(PollSettings)


def poll(request: Request) -> Response:
    """Do one tick, or take one push: 204 when it is done or reported, 503 when it could not or must come again."""
    return answered(lambda: on_poll(context().fresh(), request.get_data()))
