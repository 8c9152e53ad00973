"""Which path and method means which call; `/v1` and `/v1beta1` are the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from batchdrop_local.emulators.gemini import models
from batchdrop_local.emulators.gemini.batches import State
from batchdrop_local.emulators.gemini.wire import ApiError, parse, stamp, without_empty
from batchdrop_local.emulators.http import Call, Json, Reply
from batchdrop_local.emulators.vertex.api import Api
from batchdrop_local.emulators.vertex.jobs import Job, Wanted, counts_of
from batchdrop_local.emulators.vertex.labels import matches

Action = Callable[[Api, Call, str], Reply]
DEFAULT_PAGE: Final = 100
_VERSION: Final = re.compile(r"^/(?:v1|v1beta1)/(.+)$")
_PARENT: Final = r"projects/[^/]+/locations/[^/]+"
_EMPTY: Final = Reply({})


def resource(job: Job, state: State, now: float) -> Json:
    """Return a job as the service shows it."""
    ended = state.ended
    counts = counts_of(job, state)
    shown: Json = {
        "name": job.name,
        "displayName": job.display_name,
        "model": f"publishers/google/models/{job.model}",
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": [job.source]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": job.destination},
        },
        "state": f"JOB_STATE_{state.word}",
        "createTime": stamp(job.created),
        "startTime": "" if state.word == "PENDING" else stamp(job.created),
        "endTime": stamp(state.since) if ended and state.word != "EXPIRED" else "",
        "updateTime": stamp(state.since if ended else now),
        "completionStats": counts or None,
        "labels": job.labels or None,
        "outputInfo": {"gcsOutputDirectory": job.directory} if job.exported else None,
        "error": _error(job, state),
    }
    return without_empty(shown)


def _error(job: Job, state: State) -> Json | None:
    """Return why a job failed or was cancelled; an expired one says nothing."""
    if state.word == "CANCELLED":
        return {"code": 1, "message": "The job was cancelled."}
    if state.word != "FAILED":
        return None
    if job.broken:
        return {"code": 3, "message": job.broken}
    return {"code": job.faults.fail_code, "message": job.faults.fail_message}


def _create(api: Api, call: Call, parent: str) -> Reply:
    wanted = parse(call.body(), Wanted)
    models.check(wanted.model.rpartition("/")[2], api.models)
    job = api.jobs.create(parent, wanted)
    return Reply(resource(job, State("PENDING", job.created), job.created))


def _get(api: Api, _: Call, name: str) -> Reply:
    return Reply(resource(*api.jobs.get(name), api.now()))


def _list(api: Api, call: Call, parent: str) -> Reply:
    wanted, now = call.query.get("filter") or "", api.now()
    shown = [resource(job, state, now) for job, state in api.jobs.listed(parent)]
    passing = [
        entry for entry in shown if not wanted or matches(wanted, _fields(entry))
    ]
    if api.faults.list_limit >= 0:
        passing = passing[: api.faults.list_limit]
    try:
        start = int(call.query.get("pageToken") or 0)
        size = int(call.query.get("pageSize") or DEFAULT_PAGE)
    except ValueError:
        raise ApiError(400, "Invalid page token or page size.") from None
    end = start + min(size, api.faults.page_size or size)
    page: Json = {"batchPredictionJobs": passing[start:end]} if passing[start:] else {}
    more = {"nextPageToken": str(end)} if end < len(passing) else {}
    return Reply(page | more)


def _fields(entry: Json) -> dict[str, str]:
    """Return what a filter can ask for."""
    labels: dict[str, str] = entry.get("labels") or {}
    plain = {name: str(entry[name]) for name in ("displayName", "state", "createTime")}
    return plain | {f"labels.{key}": value for key, value in labels.items()}


def _cancel(api: Api, _: Call, name: str) -> Reply:
    api.jobs.cancel(name)
    return _EMPTY


def _delete(api: Api, _: Call, name: str) -> Reply:
    api.jobs.delete(name)
    parent = name.partition("/batchPredictionJobs/")[0]
    return Reply({"name": f"{parent}/operations/1", "done": True, "response": {}})


def _model(api: Api, _: Call, model: str) -> Reply:
    models.check(model, api.models)
    name = f"publishers/google/models/{model}"
    return Reply({"name": name, "versionId": "default", "launchStage": "GA"})


def _generate(api: Api, call: Call, model: str) -> Reply:
    models.check(model, api.models)
    return Reply(models.generate(model, call.body(), api.faults, api.caches, api.now()))


_ROUTES: Final[list[tuple[str, re.Pattern[str], str, Action]]] = [
    (method, re.compile(pattern), kind, action)
    for method, pattern, kind, action in (
        ("POST", rf"({_PARENT})/batchPredictionJobs", "create", _create),
        ("GET", rf"({_PARENT})/batchPredictionJobs", "list", _list),
        ("GET", rf"({_PARENT}/batchPredictionJobs/[^/:]+)", "get", _get),
        ("POST", rf"({_PARENT}/batchPredictionJobs/[^/:]+):cancel", "cancel", _cancel),
        ("DELETE", rf"({_PARENT}/batchPredictionJobs/[^/:]+)", "delete", _delete),
        (
            "GET",
            rf"(?:{_PARENT}/)?publishers/google/models/([^/:]+)",
            "models.get",
            _model,
        ),
        (
            "POST",
            rf"{_PARENT}/publishers/google/models/([^/:]+):generateContent",
            "generate",
            _generate,
        ),
    )
]


def route(api: Api, call: Call) -> tuple[str, Callable[[], Reply]]:
    """Return the kind of a call, and what does it."""
    found = _VERSION.match(call.path)
    for method, pattern, kind, action in _ROUTES if found else ():
        match = pattern.fullmatch(found[1]) if found and method == call.method else None
        if match is not None:
            return kind, partial(_checked, action, api, call, match[1])
    return "unknown", partial(_unknown, call)


def _checked(action: Action, api: Api, call: Call, name: str) -> Reply:
    """Refuse a call without credentials."""
    if not (call.headers.get("Authorization") or "").startswith("Bearer "):
        raise ApiError(
            401,
            "Request is missing required authentication credential. Expected OAuth 2 access token.",
        )
    return action(api, call, name)


def _unknown(call: Call) -> Reply:
    raise ApiError(404, f"There is nothing at {call.method} {call.path}.")
