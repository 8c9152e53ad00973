"""The functions of the services table, from content-addressed archives, reachable by Pub/Sub and Scheduler only.

The time limit is that of an event-driven function; the code's own budget is shorter, so it saves where it is before it
is cut off. A function waits for the build account's roles, its own, the database with its indexes, and its secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_gcp as gcp

from batchdrop_pulumi.archive import installed_archive
from batchdrop_pulumi.arguments import StackArgs
from batchdrop_pulumi.buckets import Buckets
from batchdrop_pulumi.identities import BUILD, Identities
from batchdrop_pulumi.images import Images
from batchdrop_pulumi.services import ENTRIES, RUNTIME, SERVICES, Caller, Place, Service

SERVED: Final[Mapping[str, str]] = {"LOG_EXECUTION_ID": "true", "THREADS": "1"}
"""Variables of the functions framework. With one thread gunicorn ends a worker whose call outlasts the timeout; Cloud
Run alone leaves it computing (cloud.google.com/run/docs/configuring/request-timeout)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What functions are made with."""

    buckets: Buckets
    images: Images
    identities: Identities
    database: pulumi.Output[str]
    ready: Sequence[pulumi.Resource]
    """What must be there before a function is built or runs."""


class Functions(pulumi.ComponentResource):
    """One function a row of the table."""

    def __init__(
        self,
        name: str,
        args: StackArgs,
        around: Surroundings,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Make them."""
        super().__init__("batchdrop:index:Functions", f"{name}-functions", None, opts)
        self._stem, self._args, self._around = name, args, around
        self._sources = {entry: self._source(entry) for entry in ENTRIES}
        self.functions = {service.name: self._function(service) for service in SERVICES}
        self._invokers = [
            self._invoker(service, caller)
            for service in SERVICES
            for caller in service.callers
        ]
        self.register_outputs({})

    def address(self, name: str) -> pulumi.Output[str]:
        """Return the run.app address of a function's service."""
        return self.functions[name].service_config.apply(
            lambda service: str(service.uri) if service else ""
        )

    def _source(self, entry: str) -> gcp.storage.BucketObject:
        archive = installed_archive(entry)
        return gcp.storage.BucketObject(
            f"{self._stem}-{entry}-source",
            bucket=self._around.buckets.source.name,
            name=f"{entry}-{archive.digest}.zip",
            source=pulumi.AssetArchive(
                {
                    path: pulumi.FileAsset(str(file))
                    for path, file in archive.files.items()
                }
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _function(self, service: Service) -> gcp.cloudfunctionsv2.Function:
        args = self._args
        return gcp.cloudfunctionsv2.Function(
            f"{self._stem}-{service.name}",
            name=f"{args.prefix}-{service.name}",
            project=args.project,
            location=args.region,
            labels=args.labels,
            build_config=self._build(service),
            service_config=self._service(service),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=list(self._around.ready)
            ),
        )

    def _build(self, service: Service) -> gcp.cloudfunctionsv2.FunctionBuildConfigArgs:
        return gcp.cloudfunctionsv2.FunctionBuildConfigArgs(
            runtime=RUNTIME,
            entry_point=service.entry,
            service_account=self._around.identities.accounts[BUILD].name,
            docker_repository=self._around.images.path,
            source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceArgs(
                storage_source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceStorageSourceArgs(
                    bucket=self._around.buckets.source.name,
                    object=self._sources[service.entry].name,
                )
            ),
        )

    def _service(
        self, service: Service
    ) -> gcp.cloudfunctionsv2.FunctionServiceConfigArgs:
        return gcp.cloudfunctionsv2.FunctionServiceConfigArgs(
            available_memory=service.memory,
            available_cpu=service.cpu,
            timeout_seconds=service.timeout_seconds,
            min_instance_count=0,
            max_instance_count=service.instances or self._args.max_instances,
            max_instance_request_concurrency=service.concurrency,
            ingress_settings="ALLOW_INTERNAL_ONLY",
            all_traffic_on_latest_revision=True,
            service_account_email=self._around.identities.accounts[service.name].email,
            environment_variables=self._environment(service),
            secret_volumes=[
                gcp.cloudfunctionsv2.FunctionServiceConfigSecretVolumeArgs(
                    mount_path=secret.folder,
                    project_id=self._args.project,
                    secret=f"{self._args.prefix}-{secret.name}",
                    versions=[
                        gcp.cloudfunctionsv2.FunctionServiceConfigSecretVolumeVersionArgs(
                            version="latest", path=secret.file
                        )
                    ],
                )
                for secret in self._args.mounted_keys()
            ],
        )

    def _environment(self, service: Service) -> dict[str, pulumi.Input[str]]:
        """Return the settings that a function's class has, as variables."""
        args = self._args
        chosen: Mapping[str, pulumi.Input[str]] = {
            "project": args.project,
            "database": self._around.database,
            **{
                f"{place}_bucket": self._around.buckets.by_place[place].name
                for place in Place
            },
            "topic_prefix": args.prefix,
            "model": args.model,
            "models": ",".join(args.models),
            "policy": args.policy,
            "attachment_buckets": ",".join(args.attachment_buckets),
            "function_timeout_seconds": str(service.timeout_seconds),
            "providers": args.instances(),
            **args.variables(),
        }
        variables: dict[str, pulumi.Input[str]] = dict(SERVED)
        for key, value in chosen.items():
            if key in service.settings.model_fields:
                variables[f"BATCHDROP_{key.upper()}"] = value
        return variables

    def _invoker(
        self, service: Service, caller: Caller
    ) -> gcp.cloudrunv2.ServiceIamMember:
        """Let the caller call: the invoker role sits on the Cloud Run service behind the function."""
        return gcp.cloudrunv2.ServiceIamMember(
            f"{self._stem}-{caller}-invokes-{service.name}",
            project=self._args.project,
            name=self.functions[service.name].name,
            location=self._args.region,
            role="roles/run.invoker",
            member=self._around.identities.member(caller),
            opts=pulumi.ResourceOptions(parent=self),
        )
