"""Function `poll`: one tick, called by Cloud Scheduler."""

from __future__ import annotations

from functools import cache

from flask import Request

from batchdrop.core.settings import PollSettings, load
from batchdrop.handling import Response, answered, on_tick
from batchdrop.steps.context import Context
from batchdrop.wiring import build


@cache
def context() -> Context[PollSettings]:
    """Build settings and clients once for each instance."""
    return build(load(PollSettings))


def poll(request: Request) -> Response:
    """Do one tick: 204 when it ran, 503 when it could not."""
    return answered(lambda: on_tick(context().fresh()))
