# ruff: noqa: N802, ARG002 - names and arguments are those of the protocol
"""The engine's side of Pulumi's protocol: it makes nothing, remembers everything, and can refuse a resource."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

from tests.infra.engine.answers import answer, invoked
from tests.infra.engine.journal import Invoke, Journal, Resource
from tests.infra.engine.values import Reader, written

FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
    resource_pb2.RESOURCE_MONITOR_FEATURE_OUTPUT_VALUES,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_PARAMETERIZATION,
    resource_pb2.RESOURCE_MONITOR_FEATURE_INVOKE_DEPENDS_ON,
)
Refusal = Callable[[Resource], str | None]
"""Says why a resource is refused, or None."""


@dataclass
class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Answers a program's registrations and questions, each in a thread of the server."""

    project: str
    stack: str
    preview: bool
    refuse: Refusal
    journal: Journal = field(default_factory=Journal)
    refused: list[str] = field(default_factory=list[str])
    stopped: bool = False

    def __post_init__(self) -> None:
        self._moments = itertools.count(1)
        self._lock = threading.Lock()

    def GetDeploymentInfo(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> resource_pb2.DeploymentInfo:
        """Say who runs and what this engine can do."""
        return resource_pb2.DeploymentInfo(
            project=self.project, stack=self.stack, dryRun=self.preview, supportedFeatures=FEATURES
        )

    def SignalAndWaitForShutdown(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Let the program end."""
        return empty_pb2.Empty()

    # ------------------------------------------------------------------------------- resources
    def RegisterResource(
        self, request: resource_pb2.RegisterResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.RegisterResourceResponse:
        """Remember a resource and answer as if it had been made.

        After a refusal nothing more is made: every later registration hears that the engine has stopped, as without
        `--continue-on-error`.
        """
        with self._lock:
            resource = self._received(request)
            why = self.refuse(resource)
            if why is not None:
                self.refused.append(f"{resource.type} {resource.name}: {why}")
                self.stopped = True
            if self.stopped:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the resource monitor has shut down")
            made = self._made(resource)
            self.journal.resources[made.urn] = made
        response = resource_pb2.RegisterResourceResponse(urn=made.urn, id=made.id)
        response.object.CopyFrom(written(made.outputs, made.secrets))
        return response

    def _received(self, request: resource_pb2.RegisterResourceRequest) -> Resource:
        reader = Reader()
        inputs = reader.struct(request.object)
        by_property = {name: frozenset(entry.urns) for name, entry in request.propertyDependencies.items()}
        return Resource(
            urn=self._urn(request.type, request.name, request.parent),
            type=request.type,
            name=request.name,
            inputs=inputs,
            parent=request.parent,
            provider=request.provider.rpartition("::")[0],
            custom=request.custom,
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            delete_before_replace=request.deleteBeforeReplace,
            ignore_changes=tuple(request.ignoreChanges),
            dependencies=frozenset(request.dependencies),
            property_dependencies=by_property,
            secrets=frozenset(reader.secrets),
            version=request.version,
            started=next(self._moments),
        )

    def _urn(self, type: str, name: str, parent: str) -> str:
        above = parent.split("::")[2] + "$" if parent and "pulumi:pulumi:Stack" not in parent else ""
        urn = f"urn:pulumi:{self.stack}::{self.project}::{above}{type}::{name}"
        if urn in self.journal.resources:
            raise ValueError(f"duplicate resource URN {urn!r}; try giving it a unique name")
        return urn

    def _made(self, resource: Resource) -> Resource:
        if not resource.custom:
            return replace(resource, ended=next(self._moments))
        id, outputs = answer(resource.type, resource.name, resource.inputs, preview=self.preview)
        if resource.type.startswith("pulumi:providers:"):
            id = "the-providers-own-id"
        return replace(resource, id=id, outputs=outputs, ended=next(self._moments))

    def ReadResource(
        self, request: resource_pb2.ReadResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.ReadResourceResponse:
        """Return a resource that is there already; it is not the program's, so it is not in the journal."""
        return resource_pb2.ReadResourceResponse(
            urn=self._urn(request.type, request.name, request.parent), id=request.id, properties=request.properties
        )

    def RegisterResourceOutputs(
        self, request: resource_pb2.RegisterResourceOutputsRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Remember what a component or the stack hands out."""
        reader = Reader()
        outputs = reader.struct(request.outputs)
        with self._lock:
            found = self.journal.resources[request.urn]
            self.journal.resources[request.urn] = replace(found, outputs=outputs)
            if found.type == "pulumi:pulumi:Stack":
                self.journal.outputs = outputs
                self.journal.secret_outputs = frozenset(reader.secrets)
        return empty_pb2.Empty()

    # ------------------------------------------------------------------------------- questions
    def Invoke(
        self, request: resource_pb2.ResourceInvokeRequest, context: grpc.ServicerContext
    ) -> resource_pb2.ResourceInvokeResponse:
        """Answer a question; in a preview, one that waits for a resource that is not there stays open."""
        args = Reader().struct(request.args)
        with self._lock:
            waits = frozenset(request.dependsOn)
            unknown = self.preview and any(self.journal.resources[urn].custom for urn in waits)
            provider = request.provider.rpartition("::")[0]
            self.journal.invokes.append(Invoke(request.tok, args, waits, provider, next(self._moments), unknown))
        response = resource_pb2.ResourceInvokeResponse(unknown=unknown)
        if unknown:
            return response
        found = invoked(request.tok, args)
        if found is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"the fake engine knows no answer to {request.tok}")
        else:
            getattr(response, "return").CopyFrom(written(found))
        return response


@dataclass
class Engine(engine_pb2_grpc.EngineServicer):
    """Keeps what the program logs."""

    errors: list[str] = field(default_factory=list[str])
    warnings: list[str] = field(default_factory=list[str])
    root: str = ""

    def Log(self, request: engine_pb2.LogRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Keep what a person would see."""
        if request.severity == engine_pb2.ERROR:
            self.errors.append(request.message)
        if request.severity == engine_pb2.WARNING:
            self.warnings.append(request.message)
        return empty_pb2.Empty()

    def GetRootResource(
        self, request: engine_pb2.GetRootResourceRequest, context: grpc.ServicerContext
    ) -> engine_pb2.GetRootResourceResponse:
        """Return the stack's urn."""
        return engine_pb2.GetRootResourceResponse(urn=self.root)

    def SetRootResource(
        self, request: engine_pb2.SetRootResourceRequest, context: grpc.ServicerContext
    ) -> engine_pb2.SetRootResourceResponse:
        """Keep the stack's urn."""
        self.root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(
        self, request: engine_pb2.RequirePulumiVersionRequest, context: grpc.ServicerContext
    ) -> engine_pb2.RequirePulumiVersionResponse:
        """Be of any version."""
        return engine_pb2.RequirePulumiVersionResponse()
