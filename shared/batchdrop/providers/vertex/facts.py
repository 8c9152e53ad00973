"""What is true of batches with Gemini on Vertex AI. Every number has its page, read in a stored copy on 2026-11-23."""

from __future__ import annotations

import math
from typing import Final

from batchdrop.core.limits import GIB
from batchdrop.ports import Facts, Staging, Unit

# Pages of docs.cloud.google.com/gemini-enterprise-agent-platform (stored copy of 2026-08-22):
# batch        "Batch inference with Gemini"
# storage      "Batch inference from Cloud Storage"
HOUR: Final = 3600.0

FACTS: Final = Facts(
    kind="vertex",
    dialect="gemini",
    models=(r"gemini-.*",),
    staging=Staging.OBJECT,
    unit=Unit.TOKENS,  # batch: no predefined quota, so none is counted
    names_batches=True,
    id_pattern=r".+",
    max_batch_requests=200_000,  # batch
    max_batch_bytes=10**9,  # batch: 1 GB of input
    max_file_bytes=2
    * GIB,  # the largest of the models' pages: a video from Cloud Storage
    max_batches=1 << 30,  # batch: no predefined quota
    max_stored_bytes=1 << 62,  # nothing lies at the service
    file_life=math.inf,
    stuck_after=98 * HOUR,  # batch: up to 72 h in the queue, 24 h of work
    proof_seconds=300,  # whether a list shows a job at once is not documented
    settle_seconds=900,  # storage: output is exported while a job runs; how long after its end is not documented
    settle_apart=60,
)
