"""Messages in and out: the push envelope, storage notifications, wakes and the message of a finished job.

A message is a wake, the document is the truth: a wake carries ids, never content.
Push shape: cloud.google.com/pubsub/docs/push#receive_push. Notification attributes:
cloud.google.com/storage/docs/pubsub-notifications#attributes (payload JSON_API_V1).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Final

from batchdrop.core.codes import Code
from batchdrop.core.errors import PermanentError
from batchdrop.core.state import names

WAKE_SCHEMA: Final = "batchdrop.wake/1"
JOB_SCHEMA: Final = "batchdrop.job/1"
RECIPE_SCHEMA: Final = "batchdrop.recipe/1"


@dataclass(frozen=True, slots=True)
class Push:
    """One pushed message."""

    data: bytes
    attributes: dict[str, str]
    message_id: str
    delivery_attempt: int | None


@dataclass(frozen=True, slots=True)
class Wake:
    """Look at this record: a shard, or the job itself when `shard_id` is None."""

    job_id: str
    shard_id: str | None = None

    def encode(self) -> bytes:
        """Return the message's data."""
        return json.dumps(
            {"schema": WAKE_SCHEMA, "job_id": self.job_id, "shard_id": self.shard_id}
        ).encode()


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A finalized object generation in a bucket."""

    bucket: str
    name: str
    generation: int


def recipe_message(
    upload: Uploaded, report: str, problems: int
) -> tuple[bytes, dict[str, str]]:
    """Return the data and the attributes of the message about a recipe that cannot be used."""
    data = {
        "schema": RECIPE_SCHEMA,
        "bucket": upload.bucket,
        "object": upload.name,
        "generation": upload.generation,
        "report": report,
        "problems": problems,
    }
    attributes = {
        "state": Code.RECIPE_INVALID.value,
        "bucket": upload.bucket,
        "object": upload.name,
    }
    return json.dumps(data, ensure_ascii=False).encode(), attributes


def decode_push(body: bytes) -> Push:
    """Decode a push envelope, or raise PermanentError PUSH_INVALID (acknowledge and report)."""
    try:
        envelope: Any = json.loads(body)
        message = envelope["message"]
        data = base64.b64decode(message.get("data") or "", validate=True)
        pairs: dict[Any, Any] = message.get("attributes") or {}
        attributes = {str(key): str(value) for key, value in pairs.items()}
        message_id = str(message.get("messageId") or message.get("message_id") or "")
        attempt: Any = envelope.get("deliveryAttempt")
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        binascii.Error,
    ):
        raise PermanentError(Code.PUSH_INVALID) from None
    return Push(
        data, attributes, message_id, attempt if isinstance(attempt, int) else None
    )


def decode_message(push: Push) -> Wake | Uploaded | None:
    """Return what a push asks for; None when it is a notification of another kind (acknowledge).

    Raises:
        PermanentError: WAKE_INVALID or NOTIFICATION_INVALID, to acknowledge and report.
    """
    if "eventType" in push.attributes:
        return _uploaded(push)
    try:
        wake: Any = json.loads(push.data)
        if str(wake["schema"]).partition("/")[0] != WAKE_SCHEMA.partition("/")[0]:
            raise ValueError(wake["schema"])
        job, shard = str(wake["job_id"]), wake.get("shard_id")
        if not names.is_job_id(job) or not (
            shard is None or names.is_shard_id(str(shard))
        ):
            raise ValueError("ids")
        return Wake(job, None if shard is None else str(shard))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise PermanentError(Code.WAKE_INVALID) from None


def _uploaded(push: Push) -> Uploaded | None:
    attributes = push.attributes
    if attributes["eventType"] != "OBJECT_FINALIZE":
        return None
    try:
        return Uploaded(
            attributes["bucketId"],
            attributes["objectId"],
            int(attributes["objectGeneration"]),
        )
    except (KeyError, ValueError):
        raise PermanentError(Code.NOTIFICATION_INVALID) from None
