"""The regions that have every service of a stack, as data; a region that opened later is allowed by `allow_region`."""

from __future__ import annotations

from typing import Final


def _regions(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS: Final = _regions(
    """
    asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2 asia-southeast1
    asia-southeast2 australia-southeast1 australia-southeast2 europe-central2 europe-north1 europe-southwest1
    europe-west1 europe-west2 europe-west3 europe-west4 europe-west6 europe-west8 europe-west9 europe-west10
    europe-west12 me-central1 me-central2 me-west1 northamerica-northeast1 northamerica-northeast2
    southamerica-east1 southamerica-west1 us-central1 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2
    us-west3 us-west4
    """
)
"""cloud.google.com/functions/docs/locations (2nd generation), read in a stored copy 2026-11-25."""

FIRESTORE: Final = _regions(
    """
    africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2
    asia-southeast1 asia-southeast2 asia-southeast3 australia-southeast1 australia-southeast2 europe-central2
    europe-north1 europe-north2 europe-southwest1 europe-west1 europe-west10 europe-west12 europe-west15
    europe-west2 europe-west3 europe-west4 europe-west6 europe-west8 europe-west9 me-central1 me-central2
    me-west1 northamerica-northeast1 northamerica-northeast2 northamerica-south1 southamerica-east1
    southamerica-west1 us-central1 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4
    """
)
"""docs.cloud.google.com/firestore/docs/reference/rest/v1/projects.locations/get, read in a stored copy 2026-11-25."""

SCHEDULER: Final = _regions(
    """
    asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2 asia-southeast1
    asia-southeast2 asia-southeast3 australia-southeast1 europe-central2 europe-west1 europe-west12 europe-west2
    europe-west3 europe-west4 europe-west6 me-central1 me-central2 me-west1 northamerica-northeast1
    northamerica-northeast2 southamerica-east1 us-central1 us-east1 us-east4 us-west1 us-west2 us-west3 us-west4
    """
)
"""Cloud Tasks' list, which Scheduler shared, and what its release notes of 2026-04-17, 09-18 and 09-24 add (those of
2026-07-29 could not be read); stored copies read 2026-11-25."""

WITHOUT_GEMINI: Final = frozenset({"asia-east2"})
"""The Gemini Developer API answers "User location is not supported" to calls from Hong Kong, which is not on
ai.google.dev/gemini-api/docs/available-regions."""

REGIONS: Final = (FUNCTIONS & FIRESTORE & SCHEDULER) - WITHOUT_GEMINI
