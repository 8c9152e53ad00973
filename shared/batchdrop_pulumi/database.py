"""The Firestore database of the stack, with exactly the indexes the code's queries need, and time to live.

`data` is stored, never searched: exempting it keeps a record's writes at one index entry a declared field and its size
below the limit on indexed values.
"""

from __future__ import annotations

import pulumi
import pulumi_gcp as gcp

from batchdrop.core.state.queries import COMPOSITE, INDEXED, TTL_FIELD
from batchdrop.ports import Collection
from batchdrop_pulumi.arguments import DAY, StackArgs

UNSEARCHED = ("data", "version", "write_id")


class Database(pulumi.ComponentResource):
    """A named database, so that access to it can be granted alone."""

    def __init__(
        self, name: str, args: StackArgs, opts: pulumi.ResourceOptions
    ) -> None:
        """Make it with its indexes."""
        super().__init__("batchdrop:index:Database", f"{name}-database", None, opts)
        self._stem, self._args = name, args
        self._own = pulumi.ResourceOptions(parent=self)
        self.database = self._database()
        self.name = self.database.name
        for kind in Collection:
            self._fields(kind)
            for fields in COMPOSITE.get(kind, ()):
                self._index(kind, fields)
        if args.backup_days:
            self._backups(args.backup_days)
        self.register_outputs({})

    def _database(self) -> gcp.firestore.Database:
        args, keep = self._args, self._args.keep_data
        left = (
            f"projects/{args.project}/databases/{args.prefix}" if args.adopt else None
        )
        return gcp.firestore.Database(
            f"{self._stem}-database",
            name=args.prefix,
            project=args.project,
            location_id=args.region,
            type="FIRESTORE_NATIVE",
            delete_protection_state=f"DELETE_PROTECTION_{'ENABLED' if keep else 'DISABLED'}",
            point_in_time_recovery_enablement=(
                f"POINT_IN_TIME_RECOVERY_{'ENABLED' if args.point_in_time_recovery else 'DISABLED'}"
            ),
            deletion_policy="DELETE",
            opts=pulumi.ResourceOptions(parent=self, protect=keep, import_=left),
        )

    def _index(self, kind: Collection, fields: tuple[str, ...]) -> None:
        gcp.firestore.Index(
            f"{self._stem}-{kind}-{'-'.join(fields)}",
            project=self._args.project,
            database=self.name,
            collection=kind.value,
            fields=[
                gcp.firestore.IndexFieldArgs(field_path=field, order="ASCENDING")
                for field in fields
            ],
            opts=self._own,
        )

    def _fields(self, kind: Collection) -> None:
        """Exempt what is never searched, and let ended records expire."""
        for field in UNSEARCHED:
            self._exempt(kind, field, None)
        if TTL_FIELD in INDEXED[kind]:
            self._exempt(kind, TTL_FIELD, gcp.firestore.FieldTtlConfigArgs())

    def _exempt(
        self, kind: Collection, field: str, ttl: gcp.firestore.FieldTtlConfigArgs | None
    ) -> None:
        gcp.firestore.Field(
            f"{self._stem}-{kind}-{field}",
            project=self._args.project,
            database=self.name,
            collection=kind.value,
            field=field,
            index_config=gcp.firestore.FieldIndexConfigArgs(indexes=[]),
            ttl_config=ttl,
            opts=self._own,
        )

    def _backups(self, days: int) -> None:
        gcp.firestore.BackupSchedule(
            f"{self._stem}-daily",
            project=self._args.project,
            database=self.name,
            retention=f"{days * DAY}s",
            daily_recurrence=gcp.firestore.BackupScheduleDailyRecurrenceArgs(),
            opts=self._own,
        )
