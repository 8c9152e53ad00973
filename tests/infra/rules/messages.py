"""Deliveries: deadlines that fit one another, and dead letters that are not lost."""

from __future__ import annotations

from collections.abc import Iterator

from batchdrop.core.settings import PollSettings, SubmitSettings, load
from tests.infra.engine import Journal, Resource
from tests.infra.rules.grants import FACTS, grants


def deadlines(journal: Journal, _: Journal) -> Iterator[str]:
    """A push is sent again when its deadline passes: by then the function must have ended, and its own budget first."""
    for subscription in journal.of("pubsub/subscription"):
        push = subscription.inputs.get("pushConfig")
        if not push:
            continue
        for function in journal.of("cloudfunctionsv2/function"):
            if function.outputs["serviceConfig"]["uri"] == push["pushEndpoint"]:
                yield from _fits(subscription, function)


def _fits(subscription: Resource, function: Resource) -> Iterator[str]:
    limit = function.inputs["serviceConfig"]["timeoutSeconds"]
    deadline = subscription.inputs["ackDeadlineSeconds"]
    budget = load(SubmitSettings).call_seconds
    if not budget < limit < deadline:
        yield f"{subscription.name}: budget {budget} s, function {limit} s and push {deadline} s must rise"
    if limit > FACTS["functions"]["event_seconds"]:
        yield f"{function.name}: {limit} s is more than an event-driven function gets"


def dead_letters(journal: Journal, _: Journal) -> Iterator[str]:
    """A dead-letter topic without a subscription loses what it gets; without two grants it gets nothing."""
    for subscription in journal.of("pubsub/subscription"):
        policy = subscription.inputs.get("deadLetterPolicy")
        if policy is None:
            if "pushConfig" in subscription.inputs:
                yield f"{subscription.name} has no dead letters: what never succeeds is delivered for 7 days"
            continue
        topic = str(policy["deadLetterTopic"])
        yield from (f"{subscription.name}: {said}" for said in _kept(journal, topic))
        yield from _forwarded(journal, subscription, topic.rpartition("/")[2])


def _kept(journal: Journal, topic: str) -> Iterator[str]:
    keepers = [entry for entry in journal.of("pubsub/subscription") if entry.inputs["topic"] == topic]
    if not keepers:
        yield f"{topic} has no subscription: what it gets is lost"
    for keeper in keepers:
        if keeper.inputs.get("expirationPolicy", {"ttl": "31 days"}).get("ttl") != "":
            yield f"{keeper.name} expires after 31 quiet days"
        if "pushConfig" in keeper.inputs:
            yield f"{keeper.name} pushes; nobody can look at it"


def _forwarded(journal: Journal, subscription: Resource, topic: str) -> Iterator[str]:
    agent = [grant for grant in grants(journal) if "@gcp-sa-pubsub." in grant.member]
    name = str(subscription.inputs["name"])
    if not any(grant.allows("pubsub.topics.publish", f"topics/{topic}") for grant in agent):
        yield f"{subscription.name}: Pub/Sub may not publish on {topic}"
    if not any(grant.allows("pubsub.subscriptions.consume", f"subscriptions/{name}") for grant in agent):
        yield f"{subscription.name}: Pub/Sub may not take its messages away"


def scheduler(journal: Journal, _: Journal) -> Iterator[str]:
    """A tick ends by itself before Cloud Scheduler gives it up, and before the function's limit."""
    budget = load(PollSettings).call_seconds
    for job in journal.of("cloudscheduler/job"):
        deadline = float(job.inputs["attemptDeadline"][:-1])
        if budget >= deadline:
            yield f"{job.name}: poll takes {budget} s, its caller waits {deadline} s"
