"""The Firestore database of the stack, with exactly the indexes the code's queries need, and time to live.

`data` is stored, never searched: exempting it keeps a record's writes at one index entry a declared field and its size
below the limit on indexed values.
"""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop.core.queries import COMPOSITE, INDEXED, TTL_FIELD
from batchdrop.ports import Kind
from infra.config import StackConfig

UNSEARCHED = ("data", "version", "write_id")


class Database(pulumi.ComponentResource):
    """A named database, so that access to it can be granted alone."""

    def __init__(self, config: StackConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make it with its indexes."""
        super().__init__("batchdrop:infra:Database", config.prefix, None, opts)
        self.database = gcp.firestore.Database(
            f"{config.prefix}-database",
            name=config.prefix,
            location_id=config.region,
            type="FIRESTORE_NATIVE",
            delete_protection_state="DELETE_PROTECTION_ENABLED",
            deletion_policy="DELETE",
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self.name = self.database.name
        for kind in Kind:
            self._fields(kind)
            for fields in COMPOSITE.get(kind, ()):
                self._index(kind, fields)
        self.register_outputs({"name": self.name})

    def _index(self, kind: Kind, fields: tuple[str, ...]) -> None:
        gcp.firestore.Index(
            f"{kind}-{'-'.join(fields)}",
            database=self.name,
            collection=kind.value,
            fields=[gcp.firestore.IndexFieldArgs(field_path=field, order="ASCENDING") for field in fields],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _fields(self, kind: Kind) -> None:
        """Exempt what is never searched, and let ended records expire."""
        for field in UNSEARCHED:
            gcp.firestore.Field(
                f"{kind}-{field}",
                database=self.name,
                collection=kind.value,
                field=field,
                index_config=gcp.firestore.FieldIndexConfigArgs(indexes=[]),
                opts=pulumi.ResourceOptions(parent=self),
            )
        if TTL_FIELD in INDEXED[kind]:
            gcp.firestore.Field(
                f"{kind}-{TTL_FIELD}",
                database=self.name,
                collection=kind.value,
                field=TTL_FIELD,
                index_config=gcp.firestore.FieldIndexConfigArgs(indexes=[]),
                ttl_config=gcp.firestore.FieldTtlConfigArgs(),
                opts=pulumi.ResourceOptions(parent=self),
            )
