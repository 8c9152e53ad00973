"""What Google Cloud would refuse or lose though every field is well-formed: rules over what the program asked for.

A rule reads the journal of a run and, where names may collide, that of a second stack in the same project. It says in
sentences what is wrong. The facts it holds a program to stand in `facts.toml` and `logs.toml` with their sources. Every
rule is shown able to fail: `tests.infra.seeds` has a mistake for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.infra.engine import Journal
from tests.infra.rules import alerts, identities, messages, order, storage

__all__ = ["RULES", "Stacks", "broken"]


@dataclass(frozen=True)
class Stacks:
    """A stack, and another one in the same project."""

    own: Journal
    other: Journal


Rule = Callable[[Journal, Journal], Iterator[str]]

RULES: Mapping[str, Rule] = {
    "an API is on before anything of it is asked for": order.apis,
    "a function waits for what its build needs": order.builds,
    "a function waits until grants to its build have settled": order.settles,
    "a function waits for what it uses": order.used,
    "a subscription waits until it may call": order.calls,
    "a notification waits until it may publish": order.announces,
    "the build can read Google's copy of the archive": identities.sources,
    "a service agent exists before it is granted anything": identities.agents,
    "members and roles are well-formed and known": identities.members,
    "the key is a secret everywhere": identities.secrets,
    "no two stacks ask for the same thing": identities.apart,
    "an aligner fits its metric": alerts.aligners,
    "no alert names a log metric that was just made": alerts.young_metrics,
    "a log match has a rate limit and stands alone": alerts.log_matches,
    "alerts watch every subscription of the stack and none of another": alerts.watched,
    "log lines fire the alerts they should": alerts.log_lines,
    "somebody hears when the clock stops": alerts.heartbeat,
    "incidents close": alerts.close,
    "a push outlasts its function": messages.deadlines,
    "dead letters are kept": messages.dead_letters,
    "the scheduler outlasts poll": messages.scheduler,
    "work outlives the longest job": storage.lifetimes,
    "input and work are in one place": storage.together,
    "what users own is protected": storage.protected,
    "regions serve what is asked of them": storage.regions,
}


def broken(rule: str, stacks: Stacks) -> list[str]:
    """Return what a rule finds wrong."""
    return list(RULES[rule](stacks.own, stacks.other))
