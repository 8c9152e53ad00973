"""Budgets: pure rules over one document a month, `budgets/2026-11`.

A hold is what a job is expected to cost, placed before its first batch; settling takes the hold away and adds what the
job did cost, in one compare-and-set, so it happens once. What running jobs hold counts like money spent.

    scopes    stack, team:blue, label-cost-center:42
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from pydantic import Field

from batchdrop.core.value import Value

STACK = "stack"


class Hold(Value):
    """What one job may cost, and the scopes it counts in."""

    amount: Decimal
    scopes: tuple[str, ...]


class Budget(Value):
    """One month: spent by scope, and what running jobs hold."""

    schema_: str = Field(default="batchdrop.budget/1", alias="schema")
    spent: dict[str, Decimal] = Field(default_factory=dict[str, Decimal])
    holds: dict[str, Hold] = Field(default_factory=dict[str, Hold])

    model_config = Value.model_config | {"populate_by_name": True}

    def committed(self, scope: str, besides: str) -> Decimal:
        """Return what is spent and held in a scope by other jobs."""
        held = (
            hold.amount
            for job, hold in self.holds.items()
            if job != besides and scope in hold.scopes
        )
        return sum(held, self.spent.get(scope, Decimal(0)))

    def with_hold(self, job: str, hold: Hold) -> Budget:
        """Hold what a job may cost."""
        return self._with(holds={**self.holds, job: hold})

    def with_cost(self, job: str, scopes: Iterable[str], amount: Decimal) -> Budget:
        """Add what a job did cost in each of its scopes, and hold nothing for it any more."""
        holds = {name: hold for name, hold in self.holds.items() if name != job}
        spent = dict(self.spent)
        for scope in scopes:
            spent[scope] = spent.get(scope, Decimal(0)) + amount
        return self._with(holds=holds, spent=spent)


def scopes_of(team: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return every scope a job counts in."""
    return (
        STACK,
        f"team:{team}",
        *(f"label-{name}:{value}" for name, value in sorted(labels.items())),
    )


def held(
    budget: Budget,
    job: str,
    scopes: Iterable[str],
    amount: Decimal,
    limits: Mapping[str, Decimal],
) -> Budget | str:
    """Return the budget with the job's hold, or in words which limit is in the way."""
    scopes = tuple(scopes)
    for scope in scopes:
        limit = limits.get(scope)
        if limit is None:
            continue
        committed = budget.committed(scope, job)
        if committed + amount > limit:
            return f"The job may cost {amount:.6f}; {committed:.6f} of the {limit} for {scope} this month is committed."
    return budget.with_hold(job, Hold(amount=amount, scopes=scopes))


def settled(budget: Budget, job: str, amount: Decimal) -> Budget:
    """Return the budget with the job's cost in place of its hold; itself when there is no hold any more."""
    hold = budget.holds.get(job)
    if hold is None:
        return budget
    return budget.with_cost(job, hold.scopes, amount)
