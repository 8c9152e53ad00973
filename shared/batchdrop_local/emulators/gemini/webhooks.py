"""Webhooks: snake_case resources, and a thin signed message when a batch has ended.

Static hooks are signed as Standard Webhooks (HMAC-SHA256 of `id.timestamp.body`); a batch's own webhookConfig replaces
them, and its message carries an RS256 JWT whose key is at /.well-known/jwks.json (wire facts, section 8; the claims
inside are not documented). A message is repeated until it is answered 2xx, at most ATTEMPTS times.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import secrets
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import msgspec

from batchdrop_local.emulators.gemini.batches import Batch, Batches, State
from batchdrop_local.emulators.gemini.operations import error_of
from batchdrop_local.emulators.gemini.signing import jwt
from batchdrop_local.emulators.gemini.store import Store
from batchdrop_local.emulators.gemini.wire import ApiError, letters, stamp
from batchdrop_local.emulators.http import Json
from batchdrop_local.threads import in_threads

ATTEMPTS: Final = 5
LOOK_SECONDS: Final = 0.1
_EVENTS: Final = {
    "SUCCEEDED": "batch.succeeded",
    "FAILED": "batch.failed",
    "EXPIRED": "batch.expired",
    "CANCELLED": "batch.cancelled",
}


class Webhook(msgspec.Struct, frozen=True):
    """A stored webhook; `name` is its id."""

    name: str
    uri: str
    events: list[str]
    secret: str
    label: str = ""
    state: str = "enabled"


class Told(msgspec.Struct, frozen=True):
    """How often a batch's end was told; -1 is done."""

    name: str
    attempts: int


class Body(msgspec.Struct):
    """The body of a create or update call: snake_case on the wire."""

    uri: str = ""
    subscribed_events: list[str] = []
    name: str = ""
    state: str = ""


class Webhooks:
    """All webhooks, and a thread that tells who listens."""

    def __init__(
        self, store: Store, batches: Batches, now: Callable[[], float]
    ) -> None:
        """Take the store, what to look at, and the clock."""
        self._store = store
        self._batches = batches
        self._now = now
        self._stopped = threading.Event()

    @contextmanager
    def telling(self) -> Generator[None]:
        """Tell what ends while the block runs."""
        with in_threads({"gemini-webhooks": self._look}, self._stopped.set):
            yield

    def answer(self, method: str, path: str, raw: bytes) -> Json:
        """Do one call on `webhooks` or `webhooks/{id}[:verb]`."""
        _, _, rest = path.partition("/")
        identity, _, verb = rest.partition(":")
        if not identity:
            return self._create(_body(raw)) if method == "POST" else self._list()
        hook = self._get(identity)
        if verb == "ping":
            self._post(
                hook,
                {
                    "type": "ping",
                    "version": "v1",
                    "timestamp": stamp(self._now()),
                    "data": {},
                },
            )
            return {}
        if verb == "rotateSigningSecret":
            changed = msgspec.structs.replace(hook, secret=_secret())
            self._store.put(changed)
            return {"secret": changed.secret}
        if method == "PATCH":
            return self._update(hook, _body(raw))
        if method == "DELETE":
            self._store.delete(Webhook, identity)
            return {}
        return _resource(hook)

    def _create(self, body: Body) -> Json:
        if not body.uri:
            raise ApiError(400, "A webhook needs a uri.")
        hook = Webhook(
            letters(24), body.uri, body.subscribed_events, _secret(), body.name
        )
        self._store.put(hook)
        return _resource(hook) | {"new_signing_secret": hook.secret}

    def _list(self) -> Json:
        return {"webhooks": [_resource(hook) for hook in self._store.all(Webhook)]}

    def _update(self, hook: Webhook, body: Body) -> Json:
        changed = msgspec.structs.replace(
            hook,
            uri=body.uri or hook.uri,
            events=body.subscribed_events or hook.events,
            label=body.name or hook.label,
            state=body.state or hook.state,
        )
        self._store.put(changed)
        return _resource(changed)

    def _get(self, identity: str) -> Webhook:
        hook = self._store.get(Webhook, identity)
        if hook is None:
            raise ApiError(404, f"Webhook {identity} not found.")
        return hook

    def _look(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            hooks = [
                hook for hook in self._store.all(Webhook) if hook.state == "enabled"
            ]
            if not (hooks or self._batches.hooked):
                continue
            for batch, state in self._batches.every():
                if state.word in _EVENTS:
                    self._tell(batch, state, hooks)

    def _tell(self, batch: Batch, state: State, hooks: list[Webhook]) -> None:
        told = self._store.get(Told, batch.name) or Told(batch.name, 0)
        if not 0 <= told.attempts < ATTEMPTS:
            return
        message: Json = {
            "type": _EVENTS[state.word],
            "version": "v1",
            "timestamp": stamp(state.since),
            "data": _data(batch, state),
        }
        if batch.hook.uris:
            message["user_metadata"] = batch.hook.user_metadata
            done = all(_send(uri, message, jwt) for uri in batch.hook.uris)
        else:
            wanted = [hook for hook in hooks if message["type"] in hook.events]
            done = all(self._post(hook, message) for hook in wanted)
        self._store.put(Told(batch.name, -1 if done else told.attempts + 1))

    def _post(self, hook: Webhook, message: Json) -> bool:
        key = base64.b64decode(hook.secret.removeprefix("whsec_"))
        return _send(hook.uri, message, lambda signed: f"v1,{_hmac(key, signed)}")


def _data(batch: Batch, state: State) -> Json:
    data: Json = {"id": batch.name}
    if state.word == "SUCCEEDED" and not batch.inline:
        data["output_file_uri"] = batch.output
    if state.word == "FAILED":
        error = error_of(batch, state)
        data |= {"error_code": error["code"], "error_message": error["message"]}
    return data


def _send(uri: str, message: Json, sign: Callable[[bytes], str]) -> bool:
    """POST a message; return whether it was taken. The signature covers id, time and body."""
    target = urlsplit(uri)
    body = msgspec.json.encode(message)
    identity, moment = f"msg_{letters(16)}", str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": identity,
        "webhook-timestamp": moment,
        "webhook-signature": sign(f"{identity}.{moment}.".encode() + body),
    }
    connection = http.client.HTTPConnection(
        target.hostname or "", target.port or 80, timeout=5
    )
    try:
        connection.request("POST", target.path or "/", body, headers)
        return 200 <= connection.getresponse().status < 300
    except OSError:
        return False
    finally:
        connection.close()


def _hmac(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def _secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def _body(raw: bytes) -> Body:
    try:
        return msgspec.json.decode(raw or b"{}", type=Body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ApiError(400, str(error)) from None


def _resource(hook: Webhook) -> Json:
    return {
        "id": hook.name,
        "name": hook.label,
        "uri": hook.uri,
        "subscribed_events": hook.events,
        "state": hook.state,
        "signing_secrets": [{"truncated_secret": f"whsec_...{hook.secret[-4:]}"}],
    }
