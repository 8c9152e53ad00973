"""Function `write`: completion wakes, pushed by Pub/Sub."""

from __future__ import annotations

from functools import cache

from flask import Request

from batchdrop.core.settings import WriteSettings
from batchdrop.functions.starting import started
from batchdrop.handling import Response, answered, on_write
from batchdrop.steps.context import Context


@cache
def context() -> Context[WriteSettings]:
    """Build settings and clients once for each instance."""
    return started(WriteSettings)


def write(request: Request) -> Response:
    """Take one push: 204 when it is done or reported, 503 when it must come again."""
    return answered(lambda: on_write(context().fresh(), request.get_data()))
