"""A mistake for each rule: what was asked for with one thing wrong. A rule that does not see its mistake is no rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.infra.engine import Journal, Resource
from tests.infra.engine.values import Value
from tests.infra.fields import at
from tests.infra.rules import Stacks
from tests.infra.rules.grants import Grant, grants, held_by
from tests.infra.stands import KEY

Seed = Callable[[Journal], Journal]
FUNCTION, POLICY, SUBSCRIPTION = "cloudfunctionsv2/function", "monitoring/alertPolicy", "pubsub/subscription"
TOPIC_MEMBER, BUCKET, JOB = "pubsub/topicIAMMember", "storage/bucket", "cloudscheduler/job"
USER_METRIC = 'resource.type = "cloud_run_revision" AND metric.type = "logging.googleapis.com/user/a-metric"'
EVERY_ERROR = 'resource.type = "cloud_run_revision" AND severity >= ERROR'


def not_waiting_for(type: str, word: str = "") -> Seed:
    """Let nothing wait for the resources of a type any more."""

    def seed(journal: Journal) -> Journal:
        found = [entry for entry in journal.of(type) if word in str(entry.inputs.get("service", word))]
        assert found, f"there is no {type} {word}"
        return journal.unordered([entry.urn for entry in found])

    return seed


def without(type: str) -> Seed:
    """Never ask for the resources of a type."""

    def seed(journal: Journal) -> Journal:
        for entry in journal.of(type):
            journal = journal.without(entry)
        return journal

    return seed


def build_grants(journal: Journal) -> list[Grant]:
    """Return what the account of the builds was granted."""
    account = str(journal.of(FUNCTION)[0].inputs["buildConfig"]["serviceAccount"]).rpartition("/")[2]
    return held_by(journal, account)


def build_begins_at_once(journal: Journal) -> Journal:
    """Let no function wait for the grants to its build."""
    return journal.unordered([grant.resource.urn for grant in build_grants(journal)])


def archive_is_closed(journal: Journal) -> Journal:
    """Narrow each of the build's grants on objects to a bucket that is not Google's."""
    for grant in build_grants(journal):
        if grant.role.startswith("roles/storage."):
            elsewhere = {"title": "t", "expression": 'resource.name.startsWith("projects/_/buckets/another/")'}
            journal = journal.with_input(grant.resource, "condition", elsewhere)
    return journal


def given(type: str, path: str, value: Value) -> Seed:
    """Give the first resource of a type that has a place for it another value there; None removes it."""

    def seed(journal: Journal) -> Journal:
        place = path.rpartition(".")[0].replace(".0", "[]")
        found = next(entry for entry in journal.of(type) if not place or list(at(entry.inputs, place)))
        return journal.with_input(found, path, value)

    return seed


def bucket_given(what: str, path: str, value: Value) -> Seed:
    """Give one of the buckets another value."""

    def seed(journal: Journal) -> Journal:
        return journal.with_input(_bucket(journal, what), path, value)

    return seed


def _bucket(journal: Journal, what: str) -> Resource:
    return next(entry for entry in journal.of(BUCKET) if str(entry.inputs["name"]).endswith(what))


def work_lives_two_weeks(journal: Journal) -> Journal:
    """Let WORK live as long as it did once."""
    work = _bucket(journal, "-work")
    rules = work.inputs["lifecycleRules"]
    changed = [{**rule, "condition": {"age": 14}} if rule["action"]["type"] == "Delete" else rule for rule in rules]
    return journal.with_input(work, "lifecycleRules", changed)


def push_given_up_early(journal: Journal) -> Journal:
    """Send a push again while its function still runs."""
    return journal.with_input(_push(journal), "ackDeadlineSeconds", 500)


def push_without_dead_letters(journal: Journal) -> Journal:
    """Deliver for ever what never succeeds."""
    return journal.with_input(_push(journal), "deadLetterPolicy", None)


def _push(journal: Journal) -> Resource:
    return next(entry for entry in journal.of(SUBSCRIPTION) if "pushConfig" in entry.inputs)


def uploads_unprotected(journal: Journal) -> Journal:
    """Let a mistaken destroy take the uploads along."""
    return journal.changed(_bucket(journal, "-input"), protect=False)


def secret_in_the_open(journal: Journal) -> Journal:
    """Send the key as plain text."""
    return journal.changed(journal.of("secretmanager/secretVersion")[0], secrets=frozenset[str]())


def everybody_publishes(journal: Journal) -> Journal:
    """Let anybody publish."""
    return journal.with_input(journal.of(TOPIC_MEMBER)[0], "member", "allUsers")


def role_of_another_service(journal: Journal) -> Journal:
    """Grant a role that does nothing where it sits."""
    grant = next(found for found in grants(journal) if found.place.startswith("secrets/"))
    return journal.with_input(grant.resource, "role", "roles/pubsub.viewer")


def regex_of_once(journal: Journal) -> Journal:
    """Watch subscriptions as the program did once: one that ends in d is left out, other stacks are not."""
    for policy in journal.of(POLICY):
        for number, condition in enumerate(policy.inputs["conditions"]):
            inside = condition.get("conditionThreshold", {})
            if "oldest_unacked_message_age" in str(inside.get("filter")):
                text = (
                    'resource.type = "pubsub_subscription" AND metric.type = '
                    '"pubsub.googleapis.com/subscription/oldest_unacked_message_age" AND '
                    'resource.labels.subscription_id = monitoring.regex.full_match("batchdrop-[a-z-]*[^d]")'
                )
                journal = journal.with_input(policy, f"conditions.{number}.conditionThreshold.filter", text)
    return journal


def log_match_without_a_limit(journal: Journal) -> Journal:
    """Send a mail for every line."""
    match = next(entry for entry in journal.of(POLICY) if "conditionMatchedLog" in entry.inputs["conditions"][0])
    return journal.with_input(match, "alertStrategy.notificationRateLimit", None)


def silence_of_a_failing_clock(journal: Journal) -> Journal:
    """Listen to answers of any kind from any service: a clock whose ticks all fail is heard by nobody."""
    for policy in journal.of(POLICY):
        if "conditionAbsent" in policy.inputs["conditions"][0]:
            text = 'resource.type = "cloud_run_revision" AND metric.type = "run.googleapis.com/request_count"'
            journal = journal.with_input(policy, "conditions.0.conditionAbsent.filter", text)
    return journal


def same(stacks: Stacks) -> Stacks:
    """Make the other stack one with the same names."""
    return Stacks(stacks.own, stacks.own)


SEEDS: Mapping[str, tuple[Seed, ...]] = {
    "an API is on before anything of it is asked for": (
        not_waiting_for("projects/service", "pubsub."),
        not_waiting_for("projects/service", "cloudresourcemanager."),
        not_waiting_for("projects/service", "cloudbuild."),
    ),
    "a function waits for what its build needs": (build_begins_at_once,),
    "a function waits until grants to its build have settled": (build_begins_at_once,),
    "a function waits for what it uses": (
        not_waiting_for("secretmanager/secretVersion"),
        not_waiting_for("secretmanager/secretIamMember"),
        not_waiting_for("firestore/database"),
        not_waiting_for("projects/iAMMember"),
    ),
    "a subscription waits until it may call": (
        not_waiting_for("cloudrunv2/serviceIamMember"),
        without("cloudrunv2/serviceIamMember"),
    ),
    "a notification waits until it may publish": (not_waiting_for(TOPIC_MEMBER),),
    "the build can read Google's copy of the archive": (archive_is_closed, without("projects/iAMMember")),
    "a service agent exists before it is granted anything": (not_waiting_for("projects/serviceIdentity"),),
    "members and roles are well-formed and known": (everybody_publishes, role_of_another_service),
    "the key is a secret everywhere": (
        secret_in_the_open,
        given(FUNCTION, "serviceConfig.environmentVariables.KEY", KEY),
    ),
    "an aligner fits its metric": (
        given(POLICY, "conditions.0.conditionThreshold.aggregations.0.perSeriesAligner", "ALIGN_DELTA"),
    ),
    "no alert names a log metric that was just made": (
        given(POLICY, "conditions.0.conditionThreshold.filter", USER_METRIC),
    ),
    "a log match has a rate limit and stands alone": (log_match_without_a_limit,),
    "alerts watch every subscription of the stack and none of another": (regex_of_once, without(POLICY)),
    "log lines fire the alerts they should": (
        given(POLICY, "conditions.0.conditionMatchedLog.filter", EVERY_ERROR),
        without(POLICY),
    ),
    "somebody hears when the clock stops": (without(POLICY), silence_of_a_failing_clock),
    "incidents close": (given(POLICY, "alertStrategy", None),),
    "a push outlasts its function": (
        push_given_up_early,
        given(FUNCTION, "serviceConfig.timeoutSeconds", 900),
    ),
    "dead letters are kept": (push_without_dead_letters, without(TOPIC_MEMBER)),
    "the scheduler outlasts poll": (given(JOB, "attemptDeadline", "200s"),),
    "work outlives the longest job": (work_lives_two_weeks,),
    "input and work are in one place": (bucket_given("-work", "location", "us-east1"),),
    "what users own is protected": (uploads_unprotected, bucket_given("-output", "forceDestroy", True)),
    "regions serve what is asked of them": (
        given(FUNCTION, "location", "europe-west99"),
        given("firestore/database", "locationId", "europe-west99"),
    ),
}
