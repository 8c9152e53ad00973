"""The Pulumi program under mocks: what would be made, and what must never be."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from pulumi.runtime import mocks as pulumi_mocks

from batchdrop.core import logs
from batchdrop.core.limits import limit
from batchdrop.core.result.outcome import Outcome
from batchdrop.core.settings import PollSettings, load
from batchdrop.core.state.queries import COMPOSITE, INDEXED, TTL_FIELD
from batchdrop.ports import Collection, Topic
from batchdrop_pulumi import Stack, StackArgs
from batchdrop_pulumi.services import SERVICES
from infra.outputs import outputs

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = tuple(service.name for service in SERVICES)
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
        if args.typ == "gcp:projects/serviceIdentity:ServiceIdentity":
            state["member"] = "serviceAccount:pubsub-agent@example.iam.gserviceaccount.com"
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
    made: dict[str, Any] = {}

    args = StackArgs(
        project="my-project",
        region="europe-west1",
        attachment_buckets=("pictures",),
        api_key=pulumi.Output.secret("THE-KEY"),
        alert_email="ops@example.com",
        labels={"cost-center": "data"},
        uploaders=("group:data@example.com",),
        readers=("user:ada@example.com",),
        operators=("group:ops@example.com",),
    )

    @pulumi.runtime.test
    def build() -> Any:
        return pulumi.Output.all(**outputs(args, Stack(args.prefix, args))).apply(made.update)

    build()
    return mocks.graph, made


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
        [instance] = json.loads(variables["BATCHDROP_PROVIDERS"]).values()
        assert instance["secret"] == f"{volume['mountPath']}/api-key"


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
        ("artifactregistry/repositoryIamMember:RepositoryIamMember", "repository"),
    ):
        for grant in of(graph, kind).values():
            account = re.sub(r"^serviceAccount:(?:batchdrop-)?([a-z0-9-]+)@.*$", r"\1", str(grant["member"]))
            condition = " if " + grant["condition"]["expression"] if grant.get("condition") else ""
            found.add((account, grant["role"], f"{field}:{grant[field]}{condition}"))
    return found


def test_every_account_may_do_exactly_what_it_must(graph: Graph) -> None:
    database = 'resource.name == "projects/my-project/databases/batchdrop"'
    reports = 'resource.name.endsWith("/recipe.errors.json") || resource.name.endsWith(".refused.json")'
    identity = 'resource.name == "projects/_/buckets/my-project-batchdrop-output/objects/_batchdrop/stack.json"'
    spending = 'resource.name.startsWith("projects/_/buckets/my-project-batchdrop-output/objects/_batchdrop/")'
    copies = 'resource.name.startsWith("projects/_/buckets/gcf-v2-sources-123-europe-west1")'
    operators = "group:ops@example.com"
    bucket, topic = "bucket:my-project-batchdrop-", "topic:batchdrop-"
    expected = {
        ("submit", "roles/storage.objectViewer", f"{bucket}input"),
        ("submit", "roles/storage.objectCreator", f"{bucket}work"),
        ("submit", "roles/storage.objectViewer", f"{bucket}work"),
        ("submit", "roles/storage.legacyBucketReader", f"{bucket}output"),
        ("submit", "roles/storage.objectUser", f"{bucket}output if {reports} || {identity}"),
        ("shards", "roles/storage.legacyBucketReader", f"{bucket}output"),
        ("shards", "roles/storage.objectUser", f"{bucket}output if {identity}"),
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
        ("build", "roles/storage.objectViewer", f"project:my-project if {copies}"),
        ("build", "roles/artifactregistry.writer", "repository:batchdrop-images"),
        ("shards", "roles/storage.objectViewer", f"{bucket}input"),
        ("shards", "roles/storage.objectCreator", f"{bucket}work"),
        ("shards", "roles/storage.objectViewer", f"{bucket}work"),
        ("shards", "roles/storage.objectViewer", "bucket:pictures"),
        ("shards", "roles/pubsub.publisher", f"{topic}shards"),
        ("shards", "roles/pubsub.publisher", f"{topic}batches-finished"),
        ("shards", "roles/pubsub.publisher", f"{topic}jobs-completed"),
        ("push", "roles/run.invoker", "name:batchdrop-shards"),
        ("group:data@example.com", "roles/storage.objectUser", f"{bucket}input"),
        ("user:ada@example.com", "roles/storage.objectViewer", f"{bucket}output"),
        ("user:ada@example.com", "roles/pubsub.subscriber", f"{topic}jobs-completed"),
        (operators, "roles/storage.objectViewer", f"{bucket}input"),
        (operators, "roles/storage.objectUser", f"{bucket}work"),
        (operators, "roles/storage.objectViewer", f"{bucket}output"),
        (operators, "roles/datastore.user", f"project:my-project if {database}"),
        (operators, "roles/logging.viewer", "project:my-project"),
        (operators, "roles/monitoring.viewer", "project:my-project"),
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
        ("push", "roles/run.invoker", "name:batchdrop-poll"),
    }
    for name in FUNCTIONS:
        expected.add((name, "roles/datastore.user", f"project:my-project if {database}"))
        expected.add((name, "roles/secretmanager.secretAccessor", "secretId:id-batchdrop-gemini-key"))
    for name in ("uploads", "shards", "batches-finished", "looks"):
        expected.add(("pubsub-agent", "roles/pubsub.publisher", f"{topic}{name}-dead"))
        expected.add(("pubsub-agent", "roles/pubsub.subscriber", f"subscription:batchdrop-{name}"))
        expected.add((operators, "roles/pubsub.publisher", f"{topic}{name}"))
        expected.add((operators, "roles/pubsub.subscriber", f"subscription:batchdrop-{name}-dead"))
    assert granted(graph) == expected


def test_every_function_and_caller_has_an_account_of_its_own(graph: Graph) -> None:
    functions = of(graph, "cloudfunctionsv2/function:Function")
    accounts = {name: function["serviceConfig"]["serviceAccountEmail"] for name, function in functions.items()}
    assert len(set(accounts.values())) == len(FUNCTIONS) == 4
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
    assert ages == [25]
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
    assert set(found) == {"batchdrop-uploads", "batchdrop-shards", "batchdrop-batches-finished", "batchdrop-looks"}
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
        assert re.fullmatch(r"https://batchdrop-(submit|shards|write|poll)\.run\.app", push["pushEndpoint"])


def test_dead_letters_wait_where_replay_looks(graph: Graph) -> None:
    subscriptions = of(graph, "pubsub/subscription:Subscription")
    for topic in (Topic.UPLOADS, Topic.SHARDS, Topic.BATCHES_FINISHED, Topic.LOOKS):
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
    assert expiring == {kind.value for kind in Collection if TTL_FIELD in INDEXED[kind]}
    exempt = {(entry["collection"], entry["field"]) for entry in fields if entry["indexConfig"] == {"indexes": []}}
    assert {(kind.value, "data") for kind in Collection} <= exempt
    searched = {(kind.value, field) for kind, names in INDEXED.items() for field in names if field != TTL_FIELD}
    assert not exempt & searched


# -------------------------------------------------------------------------------------------- functions
def test_the_functions_variables_are_settings_they_know(graph: Graph) -> None:
    functions = of(graph, "cloudfunctionsv2/function:Function")
    for row in SERVICES:
        variables = functions[f"batchdrop-{row.name}"]["serviceConfig"]["environmentVariables"]
        values = {key.removeprefix("BATCHDROP_").lower(): variables[key] for key in variables if "BATCHDROP_" in key}
        values["providers"] = json.loads(values["providers"])
        assert set(values) <= set(row.settings.model_fields)
        assert (variables["THREADS"], row.concurrency) == ("1", 1), "gunicorn ends a hung call only when it runs alone"
        made = row.settings(**values)
        assert (made.project, made.database, made.topic_prefix) == ("my-project", "batchdrop", "batchdrop")
        assert (made.input_bucket, made.work_bucket) == ("my-project-batchdrop-input", "my-project-batchdrop-work")


def test_the_functions_fit_their_limits(graph: Graph) -> None:
    functions = of(graph, "cloudfunctionsv2/function:Function")
    assert {name.removeprefix("batchdrop-") for name in functions} == set(FUNCTIONS)
    for row in SERVICES:
        function = functions[f"batchdrop-{row.name}"]
        service = function["serviceConfig"]
        assert service["timeoutSeconds"] == limit("event_function") == 540
        assert service["maxInstanceRequestConcurrency"] == 1
        assert service["maxInstanceCount"] == (1 if row.name == "poll" else 10)
        assert function["buildConfig"]["entryPoint"] == row.entry
        assert function["buildConfig"]["runtime"] == "python313"
        ends = datetime.strptime(str(limit("runtime_ends")), "%Y%m%d").replace(tzinfo=UTC)
        assert ends > datetime.now(UTC), "choose a newer runtime"


def test_uploads_and_shard_wakes_have_instances_of_their_own(graph: Graph) -> None:
    endpoint = {name: entry["pushConfig"]["pushEndpoint"] for name, entry in pushes(graph).items()}
    assert len(set(endpoint.values())) == len(endpoint) == 4


def test_old_images_are_deleted(graph: Graph) -> None:
    [registry] = of(graph, "artifactregistry/repository:Repository").values()
    rules = {rule["action"]: rule for rule in registry["cleanupPolicies"]}
    assert rules["KEEP"]["mostRecentVersions"] == {"keepCount": 2}
    assert rules["DELETE"]["condition"] == {"olderThan": "86400s", "tagState": "ANY"}
    for function in of(graph, "cloudfunctionsv2/function:Function").values():
        path = "projects/my-project/locations/europe-west1/repositories/batchdrop-images"
        assert function["buildConfig"]["dockerRepository"] == path


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
    assert float(job["attemptDeadline"][:-1]) > load(PollSettings).call_seconds


def test_the_database_is_native_and_protected(graph: Graph) -> None:
    [database] = of(graph, "firestore/database:Database").values()
    assert database["type"] == "FIRESTORE_NATIVE"
    assert database["deleteProtectionState"] == "DELETE_PROTECTION_ENABLED"
    assert database["pointInTimeRecoveryEnablement"] == "POINT_IN_TIME_RECOVERY_DISABLED"
    assert "gcp:firestore/backupSchedule:BackupSchedule" not in graph


# ---------------------------------------------------------------------------------------- being told
def conditions(graph: Graph) -> dict[str, Resource]:
    """Return the one condition of each policy."""
    found: dict[str, Resource] = {}
    for name, policy in of(graph, "monitoring/alertPolicy:AlertPolicy").items():
        [found[name.removeprefix("batchdrop-")]] = policy["conditions"]
    return found


def test_somebody_is_told(graph: Graph) -> None:
    assert set(conditions(graph)) == {"messages", "silence", "errors"}
    for policy in of(graph, "monitoring/alertPolicy:AlertPolicy").values():
        assert policy["combiner"] == "OR"
        assert policy["notificationChannels"]
        assert policy["documentation"]["content"]
        assert policy["alertStrategy"]["autoClose"] == "1800s"


def test_exactly_this_stacks_messages_are_watched(graph: Graph) -> None:
    threshold = conditions(graph)["messages"]["conditionThreshold"]
    [names] = re.findall(r"one_of\(([^)]*)\)", threshold["filter"])
    assert set(re.findall(r'"([^"]+)"', names)) == set(of(graph, "pubsub/subscription:Subscription"))
    [aggregation] = threshold["aggregations"]
    assert aggregation["perSeriesAligner"] == "ALIGN_MAX", "the age of a message is a gauge"
    assert threshold["comparison"] == "COMPARISON_GT"


def test_a_silent_clock_is_noticed(graph: Graph) -> None:
    absent = conditions(graph)["silence"]["conditionAbsent"]
    assert '"batchdrop-poll"' in absent["filter"]
    assert "run.googleapis.com/request_count" in absent["filter"]
    assert "logging.googleapis.com" not in absent["filter"], "a new log metric is unknown for minutes"
    assert absent["duration"] == "600s"
    [aggregation] = absent["aggregations"]
    assert aggregation["perSeriesAligner"] == "ALIGN_DELTA"
    assert aggregation["crossSeriesReducer"] == "REDUCE_SUM", "each revision is a series of its own"


def test_errors_are_the_functions_own_words_not_the_request_log(graph: Graph) -> None:
    matched = conditions(graph)["errors"]["conditionMatchedLog"]["filter"]
    assert 'log_id("run.googleapis.com/stdout")' in matched
    assert "severity >= ERROR" in matched
    for name in FUNCTIONS:
        assert f'"batchdrop-{name}"' in matched
    policy = of(graph, "monitoring/alertPolicy:AlertPolicy")["batchdrop-errors"]
    assert policy["alertStrategy"]["notificationRateLimit"] == {"period": "3600s"}, "needed by a log match"


def test_metrics_are_read_from_lines_the_code_writes(graph: Graph) -> None:
    promised = {
        logs.TICK: {*logs.TICK_DONE, *logs.TICK_QUEUE, *logs.TICK_SWEPT},
        logs.JOB_ENDED: {
            *logs.JOB_ENDED_LABELS,
            *logs.JOB_ENDED_COUNTS,
            *(f"outcome_{outcome}" for outcome in Outcome),
        },
    }
    for metric in of(graph, "logging/metric:Metric").values():
        assert 'log_id("run.googleapis.com/stdout")' in metric["filter"]
        fields = re.findall(
            r"jsonPayload\.(\w+)", json.dumps([metric.get("valueExtractor"), metric.get("labelExtractors")])
        )
        for message in re.findall(r'jsonPayload\.message = "([^"]+)"', metric["filter"]):
            assert set(fields) <= promised[message], metric["name"]
        labels = {label["key"] for label in metric["metricDescriptor"].get("labels", [])}
        assert labels == set(metric.get("labelExtractors", {}))
        distribution = metric["metricDescriptor"]["valueType"] == "DISTRIBUTION"
        assert metric["metricDescriptor"]["metricKind"] == "DELTA"
        assert bool(metric.get("valueExtractor")) is bool(metric.get("bucketOptions")) is distribution


def test_the_dashboard_asks_for_metrics_that_are_made(graph: Graph) -> None:
    [made] = of(graph, "monitoring/dashboard:Dashboard").values()
    page = json.loads(made["dashboardJson"])
    series = {
        f"logging_googleapis_com:user_{re.sub('[^a-z0-9]', '_', metric['name'])}": metric["metricDescriptor"]
        for metric in of(graph, "logging/metric:Metric").values()
    }
    asked: set[str] = set()
    for tile in page["mosaicLayout"]["tiles"]:
        assert tile["xPos"] + tile["width"] <= page["mosaicLayout"]["columns"]
        for line in tile["widget"]["xyChart"]["dataSets"]:
            query = line["timeSeriesQuery"]["prometheusQuery"]
            assert query.count("(") == query.count(")")
            for name in re.findall(r"logging_googleapis_com:\w+", query):
                bare = re.sub("_(sum|count)$", "", name)
                assert (series[bare]["valueType"] == "DISTRIBUTION") is (bare != name), name
                asked.add(bare)
    assert asked == set(series), "a metric that nobody looks at"
    places = [(tile["xPos"], tile["yPos"]) for tile in page["mosaicLayout"]["tiles"]]
    assert len(set(places)) == len(places)


# ---------------------------------------------------------------------------------------- every resource
WITH_LABELS = {
    "storage/bucket:Bucket": "labels",
    "pubsub/topic:Topic": "labels",
    "pubsub/subscription:Subscription": "labels",
    "secretmanager/secret:Secret": "labels",
    "cloudfunctionsv2/function:Function": "labels",
    "artifactregistry/repository:Repository": "labels",
    "monitoring/alertPolicy:AlertPolicy": "userLabels",
    "monitoring/notificationChannel:NotificationChannel": "userLabels",
}
NO_PROJECT = {
    # the bucket's, the secret's or the account's own name says where
    "storage/bucketObject:BucketObject",
    "storage/bucketIAMMember:BucketIAMMember",
    "storage/notification:Notification",
    "secretmanager/secretVersion:SecretVersion",
}


def test_everything_is_made_in_the_named_project_and_labelled(graph: Graph) -> None:
    for kind, field in WITH_LABELS.items():
        for resource in of(graph, kind).values():
            assert resource[field] == {"cost-center": "data"}, kind
    for kind, resources in graph.items():
        bare = kind.removeprefix("gcp:")
        if kind.startswith("gcp:") and bare not in NO_PROJECT:
            assert {resource.get("project") for resource in resources.values()} == {"my-project"}, kind


def test_a_user_gets_what_they_need(built: tuple[Graph, dict[str, Any]]) -> None:
    outputs = built[1]
    assert outputs["input_bucket"] == "my-project-batchdrop-input"
    assert outputs["completed_topic"] == "id-batchdrop-jobs-completed"
    assert "gs://my-project-batchdrop-input/" in outputs["upload"]
    assert {
        "output_bucket",
        "console_input",
        "console_output",
        "console_logs",
        "console_dashboard",
        "environment",
    } <= set(outputs)


def test_every_api_that_is_used_is_switched_on(graph: Graph) -> None:
    enabled = {entry["service"] for entry in of(graph, "projects/service:Service").values()}
    apis = {
        "cloudfunctionsv2": "cloudfunctions",
        "cloudrunv2": "run",
        "serviceaccount": "iam",
        "projects": "cloudresourcemanager",
        "organizations": "cloudresourcemanager",
    }
    for kind in graph:
        if kind.startswith("gcp:"):
            word = kind.split(":")[1].split("/")[0]
            assert f"{apis.get(word, word)}.googleapis.com" in enabled, kind
