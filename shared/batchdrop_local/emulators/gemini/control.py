"""The control endpoint: what a test or a person sets and sees, beside the API.

GET, PUT /control/faults                      the faults in force, as faults.py has them
GET      /control/stats                       calls by kind, batches by state, rows sent, names used twice
POST     /control/reset                       forget everything but faults and clock
POST     /control/advance {"seconds": 3600}   move the clock
POST     /control/batches/{id}/state {"state": "FAILED"}
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from batchdrop_local.emulators.gemini.api import Api
from batchdrop_local.emulators.gemini.faults import decode, encode
from batchdrop_local.emulators.gemini.wire import ApiError, parse
from batchdrop_local.emulators.http import Call, Json

_STATE: Final = re.compile(r"batches/([^/]+)/state")


class Advance(msgspec.Struct):
    """The body of advance."""

    seconds: float


class Forced(msgspec.Struct):
    """The body of state."""

    state: str


def answer(api: Api, call: Call) -> Json | bytes:
    """Do one control call."""
    what = call.path.removeprefix("/control/")
    if what == "faults":
        return _faults(api, call)
    if what == "stats":
        return api.stats()
    if what == "reset":
        api.reset()
        return {}
    if what == "advance":
        api.advance(parse(call.body(), Advance).seconds)
        return {}
    match = _STATE.fullmatch(what)
    if match is None:
        raise ApiError(404, f"There is nothing at {call.path}.")
    api.batches.force(f"batches/{match[1]}", parse(call.body(), Forced).state)
    return {}


def _faults(api: Api, call: Call) -> bytes:
    if call.method == "PUT":
        try:
            api.set_faults(decode(call.body()))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ApiError(400, str(error)) from None
    return encode(api.faults)
