"""The notification Cloud Storage sends for a new object, for a store that sends none itself.

Attributes and payload: cloud.google.com/storage/docs/pubsub-notifications (JSON_API_V1).
"""

from __future__ import annotations

import json

from batchdrop.ports import ObjectInfo, Topic, Topics


def notify(topics: Topics, info: ObjectInfo) -> None:
    """Publish OBJECT_FINALIZE for an object."""
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": info.bucket,
        "objectId": info.name,
        "objectGeneration": str(info.generation),
        "payloadFormat": "JSON_API_V1",
        "eventTime": info.created_at.isoformat(),
        "notificationConfig": f"projects/_/buckets/{info.bucket}/notificationConfigs/1",
    }
    resource = {
        "kind": "storage#object",
        "bucket": info.bucket,
        "name": info.name,
        "generation": str(info.generation),
        "size": str(info.size),
        "crc32c": info.crc32c,
        "contentType": info.content_type,
        "metadata": dict(info.metadata),
    }
    topics.publish(Topic.UPLOADS, json.dumps(resource).encode(), attributes)
