"""List prices in US dollars, without any free tier, for us-central1 and the like; each with its source.

Read on 2026-11-23 in stored copies: Cloud Run's vCPU-second, Cloud Storage. From second-hand pages only: the rest of
Cloud Run, Firestore's reads and writes, Gemini. Not looked up, so check them first: Firestore's deletes, Pub/Sub,
Scheduler, Secret Manager, Artifact Registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for one unit, and where that stands."""

    dollars: Decimal
    unit: str
    source: str


_RUN = "cloud.google.com/run/pricing (tier 1, CPU during requests; second-generation functions are billed as these)"
_FIRESTORE = "cloud.google.com/firestore/pricing (Standard, us-central1: 0.03, 0.09, 0.01 per 100,000)"
_STORAGE = "cloud.google.com/storage/pricing (Standard, us-central1: 0.005 and 0.0004 per 1,000 operations)"
_ALERTS = (
    "cloud.google.com/stackdriver/pricing: 0.35 by cloud.google.com/monitoring/alerts/cost-control, a look every 30"
    " s; 0.10 at second hand, 1.50 on that page of 2024"
)
_GEMINI = "ai.google.dev/gemini-api/docs/pricing (2.5 Flash-Lite, batch: 0.05 in, 0.20 out per million tokens)"


def _price(dollars: str, per: int, unit: str, source: str) -> Price:
    return Price(Decimal(dollars) / per, unit, source)


PRICES: Final[dict[str, Price]] = {
    "vcpu_second": _price("0.000024", 1, "vCPU-second", _RUN),
    "gib_second": _price("0.0000025", 1, "GiB-second", _RUN),
    "invocation": _price("0.40", 1_000_000, "request", _RUN),
    "read": _price("0.03", 100_000, "document", _FIRESTORE),
    "write": _price("0.09", 100_000, "document", _FIRESTORE),
    "delete": _price("0.01", 100_000, "document", _FIRESTORE),
    "class_a": _price("0.005", 1_000, "operation", _STORAGE),
    "class_b": _price("0.0004", 1_000, "operation", _STORAGE),
    "storage": _price("0.020", 1, "GB-month", _STORAGE),
    "message_tib": _price("40", 1, "TiB, at least 1 kB a message", "cloud.google.com/pubsub/pricing"),
    "scheduler_job": _price("0.10", 1, "job-month", "cloud.google.com/scheduler/pricing"),
    "secret": _price("0.06", 1, "active version-month", "cloud.google.com/secret-manager/pricing"),
    "image_gb": _price("0.10", 1, "GB-month", "cloud.google.com/artifact-registry/pricing"),
    "alert_condition": _price("0.10", 1, "condition-month", _ALERTS),
    "alert_series": _price("0.35", 1_000_000, "time series returned, one a look", _ALERTS),
    "input_token": _price("0.05", 1_000_000, "token", _GEMINI),
    "output_token": _price("0.20", 1_000_000, "token", _GEMINI),
}


def cost(amounts: dict[str, float]) -> dict[str, Decimal]:
    """Return what each amount costs."""
    return {name: PRICES[name].dollars * Decimal(str(amount)) for name, amount in amounts.items()}
