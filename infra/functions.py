"""The three functions, from content-addressed archives, reachable by Pub/Sub and Scheduler only.

Concurrency is 1 for `submit` and `write`, whose work is bound by one core and by memory for one stream each, and for
`poll`, of which one at a time is enough. The time limit is that of an event-driven function; the code's own budget is
shorter, so it saves where it is before it is cut off.
"""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_gcp as gcp

from infra.archive import source_archive
from infra.buckets import Buckets
from infra.config import StackConfig
from infra.identities import FUNCTIONS, Identities

RUNTIME = "python311"
TIMEOUT_SECONDS = 540
MEMORY = {"submit": "1Gi", "poll": "512Mi", "write": "1Gi"}
KEY_FOLDER = "/etc/secrets/gemini"
KEY_FILE = "api-key"


class Functions(pulumi.ComponentResource):
    """submit, poll and write."""

    def __init__(
        self,
        config: StackConfig,
        root: Path,
        buckets: Buckets,
        identities: Identities,
        database: pulumi.Output[str],
        secret: gcp.secretmanager.SecretVersion,
        granted: list[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make them; `granted` are the roles that must be there before they start."""
        super().__init__("batchdrop:infra:Functions", config.prefix, None, opts)
        self._config, self._root, self._buckets = config, root, buckets
        self._identities, self._database, self._secret = identities, database, secret
        self._granted = granted
        self.functions = {name: self._function(name) for name in FUNCTIONS}
        self.register_outputs({})

    def address(self, name: str) -> pulumi.Output[str]:
        """Return the run.app address of a function's service."""
        return self.functions[name].service_config.apply(lambda service: str(service.uri) if service else "")

    def service(self, name: str) -> pulumi.Output[str]:
        """Return the name of the Cloud Run service behind a function."""
        return self.functions[name].name

    def _function(self, name: str) -> gcp.cloudfunctionsv2.Function:
        config = self._config
        archive = source_archive(self._root / "functions" / name, self._root / "shared" / "batchdrop")
        source = gcp.storage.BucketObject(
            f"{name}-source",
            bucket=self._buckets.source.name,
            name=f"{name}-{archive.digest}.zip",
            source=pulumi.AssetArchive({path: pulumi.FileAsset(str(file)) for path, file in archive.files.items()}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return gcp.cloudfunctionsv2.Function(
            f"{config.prefix}-{name}",
            name=f"{config.prefix}-{name}",
            location=config.region,
            build_config=gcp.cloudfunctionsv2.FunctionBuildConfigArgs(
                runtime=RUNTIME,
                entry_point=name,
                service_account=self._identities.accounts["build"].name,
                source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceArgs(
                    storage_source=gcp.cloudfunctionsv2.FunctionBuildConfigSourceStorageSourceArgs(
                        bucket=self._buckets.source.name, object=source.name
                    )
                ),
            ),
            service_config=self._service(name),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self._secret, *self._granted]),
        )

    def _service(self, name: str) -> gcp.cloudfunctionsv2.FunctionServiceConfigArgs:
        return gcp.cloudfunctionsv2.FunctionServiceConfigArgs(
            available_memory=MEMORY[name],
            available_cpu="1",
            timeout_seconds=TIMEOUT_SECONDS,
            min_instance_count=0,
            max_instance_count=1 if name == "poll" else self._config.max_instances,
            max_instance_request_concurrency=1,
            ingress_settings="ALLOW_INTERNAL_ONLY",
            all_traffic_on_latest_revision=True,
            service_account_email=self._identities.accounts[name].email,
            environment_variables=self._environment(),
            secret_volumes=[
                gcp.cloudfunctionsv2.FunctionServiceConfigSecretVolumeArgs(
                    mount_path=KEY_FOLDER,
                    project_id=self._config.project,
                    secret=self._secret.secret.apply(lambda secret: secret.rpartition("/")[2]),
                    versions=[
                        gcp.cloudfunctionsv2.FunctionServiceConfigSecretVolumeVersionArgs(
                            version="latest", path=KEY_FILE
                        )
                    ],
                )
            ],
        )

    def _environment(self) -> dict[str, pulumi.Input[str]]:
        """The settings of `batchdrop.core.settings`, as variables."""
        config = self._config
        return {
            "BATCHDROP_PROJECT": config.project,
            "BATCHDROP_DATABASE": self._database,
            "BATCHDROP_INPUT_BUCKET": self._buckets.input.name,
            "BATCHDROP_WORK_BUCKET": self._buckets.work.name,
            "BATCHDROP_OUTPUT_BUCKET": self._buckets.output.name,
            "BATCHDROP_TOPIC_PREFIX": config.prefix,
            "BATCHDROP_MODEL": config.model,
            "BATCHDROP_MODELS": config.models,
            "BATCHDROP_TIER": str(config.tier),
            "BATCHDROP_POLICY": config.policy,
            "BATCHDROP_FUNCTION_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
            "BATCHDROP_GEMINI_API_KEY_FILE": f"{KEY_FOLDER}/{KEY_FILE}",
            "LOG_EXECUTION_ID": "true",
            **config.variables(),
        }
