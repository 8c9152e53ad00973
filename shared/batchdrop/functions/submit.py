"""Function `submit`: uploads and shard wakes, pushed by Pub/Sub."""

from __future__ import annotations

from functools import cache

from flask import Request

from batchdrop.core.settings import SubmitSettings
from batchdrop.functions.starting import started
from batchdrop.handling import Response, answered, on_submit
from batchdrop.steps.context import Context


@cache
def context() -> Context[SubmitSettings]:
    """Build settings and clients once for each instance."""
    return started(SubmitSettings)


def submit(request: Request) -> Response:
    """Take one push: 204 when it is done or reported, 503 when it must come again."""
    return answered(lambda: on_submit(context().fresh(), request.get_data()))
