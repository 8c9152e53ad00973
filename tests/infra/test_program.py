"""The Pulumi program under mocks: what would be made, and what must never be."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from pulumi.runtime import mocks as pulumi_mocks

from batchdrop.core.queries import COMPOSITE, INDEXED, TTL_FIELD
from batchdrop.core.settings import PollSettings, SubmitSettings, WriteSettings, load
from batchdrop.ports import Kind, Topic
from infra.config import StackConfig
from infra.identities import FUNCTIONS

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = {"project": "my-project", "region": "europe-west1"}
Resource = dict[str, Any]
Graph = dict[str, dict[str, Resource]]


class Mocks(pulumi.runtime.Mocks):
    """Remembers every resource, and fills in what only the cloud knows."""

    def __init__(self) -> None:
        self.graph: Graph = defaultdict(dict)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Record a resource."""
        state = dict(cast("dict[str, Any]", args.inputs))
        name = str(state.get("name") or args.name)
        if args.typ == "gcp:serviceaccount/account:Account":
            state["email"] = f"{state['accountId']}@my-project.iam.gserviceaccount.com"
            state["name"] = f"projects/my-project/serviceAccounts/{state['email']}"
        if args.typ == "gcp:cloudfunctionsv2/function:Function":
            state["serviceConfig"] = {**state["serviceConfig"], "uri": f"https://{name}.run.app"}
        state.setdefault("name", name)
        self.graph[args.typ][args.name] = state
        return f"id-{name}", state

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        """Answer a data source."""
        return {
            "number": "123",
            "emailAddress": "storage-agent@example.iam.gserviceaccount.com",
            **cast("dict[str, Any]", args.args),
        }


@pytest.fixture(scope="module")
def built() -> tuple[Graph, dict[str, Any]]:
    """The graph and the outputs of a stack with every option at its default."""
    mocks = Mocks()
    pulumi_mocks.set_mocks(mocks, preview=False)
    outputs: dict[str, Any] = {}

    @pulumi.runtime.test
    def build() -> Any:
        from infra.stack import deploy

        config = StackConfig(
            **CONFIG,
            attachment_buckets="pictures",
            api_key=pulumi.Output.secret("THE-KEY"),
            alert_email="ops@example.com",
        )
        found = deploy(config, ROOT)
        return pulumi.Output.all(**found).apply(outputs.update)

    build()
    return mocks.graph, outputs


@pytest.fixture
def graph(built: tuple[Graph, dict[str, Any]]) -> Graph:
    """Resources by type and name."""
    return built[0]


def of(graph: Graph, kind: str) -> dict[str, Resource]:
    found = graph[f"gcp:{kind}"]
    assert found, kind
    return found


def walk(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict):
        for entry in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from walk(entry)
    elif isinstance(value, list):
        for entry in value:  # pyright: ignore[reportUnknownVariableType]
            yield from walk(entry)


# ----------------------------------------------------------------------------------------------- safety
def test_nothing_is_public(graph: Graph) -> None:
    for resources in graph.values():
        for resource in resources.values():
            assert not {"allUsers", "allAuthenticatedUsers"} & {
                item for item in walk(resource) if isinstance(item, str)
            }
    for bucket in of(graph, "storage/bucket:Bucket").values():
        assert bucket["publicAccessPrevention"] == "enforced"
        assert bucket["uniformBucketLevelAccess"] is True
    for function in of(graph, "cloudfunctionsv2/function:Function").values():
        assert function["serviceConfig"]["ingressSettings"] == "ALLOW_INTERNAL_ONLY"


def test_the_key_stands_in_the_secret_only(graph: Graph) -> None:
    holders = [
        kind for kind, resources in graph.items() for entry in resources.values() if "THE-KEY" in map(str, walk(entry))
    ]
    assert holders == ["gcp:secretmanager/secretVersion:SecretVersion"]
    for function in of(graph, "cloudfunctionsv2/function:Function").values():
        [volume] = function["serviceConfig"]["secretVolumes"]
        assert volume["versions"] == [{"version": "latest", "path": "api-key"}]
        variables = function["serviceConfig"]["environmentVariables"]
        assert variables["BATCHDROP_GEMINI_API_KEY_FILE"] == f"{volume['mountPath']}/api-key"


def granted(graph: Graph) -> set[tuple[str, str, str]]:
    """Return (account, role, resource) of every grant to an account of ours."""
    found: set[tuple[str, str, str]] = set()
    for kind, field in (
        ("storage/bucketIAMMember:BucketIAMMember", "bucket"),
        ("pubsub/topicIAMMember:TopicIAMMember", "topic"),
        ("pubsub/subscriptionIAMMember:SubscriptionIAMMember", "subscription"),
        ("secretmanager/secretIamMember:SecretIamMember", "secretId"),
        ("cloudrunv2/serviceIamMember:ServiceIamMember", "name"),
        ("projects/iAMMember:IAMMember", "project"),
    ):
        for grant in of(graph, kind).values():
            account = re.sub(r"^serviceAccount:(?:batchdrop-)?([a-z0-9-]+)@.*$", r"\1", str(grant["member"]))
            condition = " if " + grant["condition"]["expression"] if grant.get("condition") else ""
            found.add((account, grant["role"], f"{field}:{grant[field]}{condition}"))
    return found


def test_every_account_may_do_exactly_what_it_must(graph: Graph) -> None:
    database = 'resource.name == "projects/my-project/databases/batchdrop"'
    recipes = 'resource.name.endsWith("/recipe.errors.json")'
    spending = 'resource.name.startsWith("projects/_/buckets/my-project-batchdrop-output/objects/_batchdrop/")'
    bucket, topic = "bucket:my-project-batchdrop-", "topic:batchdrop-"
    expected = {
        ("submit", "roles/storage.objectViewer", f"{bucket}input"),
        ("submit", "roles/storage.objectCreator", f"{bucket}work"),
        ("submit", "roles/storage.objectViewer", f"{bucket}work"),
        ("submit", "roles/storage.legacyBucketReader", f"{bucket}output"),
        ("submit", "roles/storage.objectUser", f"{bucket}output if {recipes}"),
        ("poll", "roles/storage.legacyBucketReader", f"{bucket}output"),
        ("poll", "roles/storage.objectUser", f"{bucket}output if {spending}"),
        ("poll", "roles/storage.objectViewer", f"{bucket}input"),
        ("poll", "roles/storage.objectUser", f"{bucket}work"),
        ("submit", "roles/storage.objectViewer", "bucket:pictures"),
        ("write", "roles/storage.objectViewer", "bucket:pictures"),
        ("write", "roles/storage.objectViewer", f"{bucket}input"),
        ("write", "roles/storage.objectUser", f"{bucket}work"),
        ("write", "roles/storage.objectCreator", f"{bucket}output"),
        ("write", "roles/storage.objectViewer", f"{bucket}output"),
        ("build", "roles/storage.objectViewer", f"{bucket}source"),
        ("build", "roles/logging.logWriter", "project:my-project"),
        ("build", "roles/artifactregistry.writer", "project:my-project"),
        ("submit", "roles/pubsub.publisher", f"{topic}shards"),
        ("submit", "roles/pubsub.publisher", f"{topic}batches-finished"),
        ("submit", "roles/pubsub.publisher", f"{topic}jobs-completed"),
        ("poll", "roles/pubsub.publisher", f"{topic}uploads"),
        ("poll", "roles/pubsub.publisher", f"{topic}shards"),
        ("poll", "roles/pubsub.publisher", f"{topic}batches-finished"),
        ("write", "roles/pubsub.publisher", f"{topic}shards"),
        ("write", "roles/pubsub.publisher", f"{topic}batches-finished"),
        ("write", "roles/pubsub.publisher", f"{topic}jobs-completed"),
        ("storage-agent", "roles/pubsub.publisher", f"{topic}uploads"),
        ("push", "roles/run.invoker", "name:batchdrop-submit"),
        ("push", "roles/run.invoker", "name:batchdrop-write"),
        ("scheduler", "roles/run.invoker", "name:batchdrop-poll"),
    }
    for name in FUNCTIONS:
        expected.add((name, "roles/datastore.user", f"project:my-project if {database}"))
        expected.add((name, "roles/secretmanager.secretAccessor", "secretId:id-batchdrop-gemini-key"))
    for name in ("uploads", "shards", "batches-finished"):
        expected.add(("service-123", "roles/pubsub.publisher", f"{topic}{name}-dead"))
        expected.add(("service-123", "roles/pubsub.subscriber", f"subscription:batchdrop-{name}"))
    assert granted(graph) == expected


def test_every_function_and_caller_has_an_account_of_its_own(graph: Graph) -> None:
    functions = of(graph, "cloudfunctionsv2/function:Function")
    accounts = {name: function["serviceConfig"]["serviceAccountEmail"] for name, function in functions.items()}
    assert len(set(accounts.values())) == 3
    for function in functions.values():
        assert "batchdrop-build@" in function["buildConfig"]["serviceAccount"]
    for subscription in pushes(graph).values():
        assert subscription["pushConfig"]["oidcToken"]["serviceAccountEmail"].startswith("batchdrop-push@")
    [job] = of(graph, "cloudscheduler/job:Job").values()
    assert job["httpTarget"]["oidcToken"]["serviceAccountEmail"].startswith("batchdrop-scheduler@")


def test_what_users_own_is_never_destroyed_with_content(graph: Graph) -> None:
    buckets = of(graph, "storage/bucket:Bucket")
    kept = {name for name, bucket in buckets.items() if not bucket["forceDestroy"]}
    assert kept == {"batchdrop-input", "batchdrop-output"}


def test_work_has_no_soft_delete_no_notification_and_an_end(graph: Graph) -> None:
    buckets = of(graph, "storage/bucket:Bucket")
    work, input_ = buckets["batchdrop-work"], buckets["batchdrop-input"]
    assert work["softDeletePolicy"]["retentionDurationSeconds"] == 0
    assert (work["location"], work["storageClass"]) == (input_["location"], input_["storageClass"])
    ages = [rule["condition"]["age"] for rule in work["lifecycleRules"] if rule["action"]["type"] == "Delete"]
    assert ages == [14]
    [notification] = of(graph, "storage/notification:Notification").values()
    assert notification["bucket"] == input_["name"]
    assert notification["payloadFormat"] == "JSON_API_V1"
    assert notification["eventTypes"] == ["OBJECT_FINALIZE"]


# --------------------------------------------------------------------------------------------- messaging
def pushes(graph: Graph) -> dict[str, Resource]:
    found = of(graph, "pubsub/subscription:Subscription")
    return {name: entry for name, entry in found.items() if entry.get("pushConfig")}


def test_every_push_is_retried_dead_lettered_and_never_expires(graph: Graph) -> None:
    found = pushes(graph)
    assert set(found) == {"batchdrop-uploads", "batchdrop-shards", "batchdrop-batches-finished"}
    for name, subscription in found.items():
        assert subscription["expirationPolicy"] == {"ttl": ""}
        assert subscription["retryPolicy"] == {"minimumBackoff": "10s", "maximumBackoff": "600s"}
        assert subscription["deadLetterPolicy"] == {
            "deadLetterTopic": f"id-{name}-dead",
            "maxDeliveryAttempts": 100,
        }
        assert subscription["messageRetentionDuration"] == "604800s"
        assert subscription["ackDeadlineSeconds"] == 600
        push = subscription["pushConfig"]
        assert push["pushEndpoint"] == push["oidcToken"]["audience"]
        assert re.fullmatch(r"https://batchdrop-(submit|write)\.run\.app", push["pushEndpoint"])


def test_dead_letters_wait_where_replay_looks(graph: Graph) -> None:
    subscriptions = of(graph, "pubsub/subscription:Subscription")
    for topic in (Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED):
        waiting = subscriptions[f"batchdrop-{topic}-dead"]
        assert waiting["topic"] == f"id-batchdrop-{topic}-dead"
        assert waiting["expirationPolicy"] == {"ttl": ""}
        assert "pushConfig" not in waiting


def test_users_have_a_topic_to_subscribe_to(graph: Graph) -> None:
    topics = of(graph, "pubsub/topic:Topic")
    assert {f"batchdrop-{topic}" for topic in Topic} <= set(topics)
    for topic in topics.values():
        assert topic["messageStoragePolicy"]["allowedPersistenceRegions"] == ["europe-west1"]


# --------------------------------------------------------------------------------------------- database
def test_the_declared_indexes_are_the_needed_ones_and_no_more(graph: Graph) -> None:
    found = {
        (index["collection"], tuple(field["fieldPath"] for field in index["fields"]))
        for index in of(graph, "firestore/index:Index").values()
    }
    assert found == {(kind.value, fields) for kind, indexes in COMPOSITE.items() for fields in indexes}
    for index in of(graph, "firestore/index:Index").values():
        assert {field["order"] for field in index["fields"]} == {"ASCENDING"}


def test_ended_records_expire_and_data_is_never_indexed(graph: Graph) -> None:
    fields = of(graph, "firestore/field:Field").values()
    expiring = {entry["collection"] for entry in fields if entry.get("ttlConfig") is not None}
    assert expiring == {kind.value for kind in Kind if TTL_FIELD in INDEXED[kind]}
    exempt = {(entry["collection"], entry["field"]) for entry in fields if entry["indexConfig"] == {"indexes": []}}
    assert {(kind.value, "data") for kind in Kind} <= exempt
    searched = {(kind.value, field) for kind, names in INDEXED.items() for field in names if field != TTL_FIELD}
    assert not exempt & searched


# -------------------------------------------------------------------------------------------- functions
def test_the_functions_variables_are_settings_they_know(graph: Graph) -> None:
    classes = {"submit": SubmitSettings, "poll": PollSettings, "write": WriteSettings}
    for name, function in of(graph, "cloudfunctionsv2/function:Function").items():
        settings = classes[name.removeprefix("batchdrop-")]
        known = set(SubmitSettings.model_fields) | set(settings.model_fields)
        variables = function["serviceConfig"]["environmentVariables"]
        ours = {key.removeprefix("BATCHDROP_").lower() for key in variables if key.startswith("BATCHDROP_")}
        assert ours <= known
        values = {key.removeprefix("BATCHDROP_").lower(): value for key, value in variables.items()}
        settings(**{key: value for key, value in values.items() if key in settings.model_fields})


def test_the_functions_fit_their_limits(graph: Graph) -> None:
    for name, function in of(graph, "cloudfunctionsv2/function:Function").items():
        service = function["serviceConfig"]
        assert service["timeoutSeconds"] == 540
        assert service["maxInstanceRequestConcurrency"] == 1
        assert service["maxInstanceCount"] == (1 if name.endswith("poll") else 10)
        assert function["buildConfig"]["entryPoint"] == name.removeprefix("batchdrop-")
        assert function["buildConfig"]["runtime"] in {"python311", "python312", "python313"}


def test_the_archive_is_named_by_its_content(graph: Graph) -> None:
    names = [entry["name"] for entry in of(graph, "storage/bucketObject:BucketObject").values()]
    assert len(names) == 3
    for name in names:
        assert re.fullmatch(r"(submit|poll|write)-[0-9a-f]{64}\.zip", name)


def test_the_scheduler_calls_poll_by_a_valid_clock(graph: Graph) -> None:
    [job] = of(graph, "cloudscheduler/job:Job").values()
    minute = r"(\*|\*/\d+|\d+)"
    assert re.fullmatch(rf"{minute}( (\*|\d+|\*/\d+)){{4}}", job["schedule"])
    assert job["attemptDeadline"] == "300s"
    assert job["httpTarget"]["uri"] == job["httpTarget"]["oidcToken"]["audience"] == "https://batchdrop-poll.run.app"
    assert job["httpTarget"]["httpMethod"] == "POST"
    assert float(job["attemptDeadline"][:-1]) > load(PollSettings).budget_seconds


def test_enums_are_words_google_cloud_knows(graph: Graph) -> None:
    [database] = of(graph, "firestore/database:Database").values()
    assert database["type"] == "FIRESTORE_NATIVE"
    assert database["deleteProtectionState"] == "DELETE_PROTECTION_ENABLED"
    for policy in of(graph, "monitoring/alertPolicy:AlertPolicy").values():
        assert policy["combiner"] == "OR"
        for condition in policy["conditions"]:
            threshold = condition["conditionThreshold"]
            assert threshold["comparison"] == "COMPARISON_GT"
            for aggregation in threshold["aggregations"]:
                assert aggregation["perSeriesAligner"] in {"ALIGN_MAX", "ALIGN_DELTA"}


def test_somebody_is_told(graph: Graph) -> None:
    policies = of(graph, "monitoring/alertPolicy:AlertPolicy")
    assert {name.removeprefix("batchdrop-") for name in policies} == {
        "dead-letters",
        "old-messages",
        "errors",
        "old-jobs",
    }
    for policy in policies.values():
        assert policy["notificationChannels"]
        assert policy["documentation"]["content"]
    metrics = of(graph, "logging/metric:Metric").values()
    source = "".join(path.read_text() for path in (ROOT / "shared" / "batchdrop").rglob("*.py"))
    for metric in metrics:
        for message in re.findall(r'jsonPayload\.message = "([^"]+)"', metric["filter"]):
            assert f'"{message}"' in source


def test_a_user_gets_what_they_need(built: tuple[Graph, dict[str, Any]]) -> None:
    outputs = built[1]
    assert outputs["input_bucket"] == "my-project-batchdrop-input"
    assert outputs["completed_topic"] == "id-batchdrop-jobs-completed"
    assert "gs://my-project-batchdrop-input/" in outputs["upload"]
    assert {"output_bucket", "console_input", "console_output", "console_logs", "environment"} <= set(outputs)


def test_every_api_that_is_used_is_switched_on(graph: Graph) -> None:
    enabled = {entry["service"] for entry in of(graph, "projects/service:Service").values()}
    for kind in graph:
        word = kind.split(":")[1].split("/")[0] if kind.startswith("gcp:") else ""
        api = {"cloudfunctionsv2": "cloudfunctions", "cloudrunv2": "run", "serviceaccount": "iam"}.get(word, word)
        if api and api not in ("projects", "index", "organizations"):
            assert f"{api}.googleapis.com" in enabled, kind
