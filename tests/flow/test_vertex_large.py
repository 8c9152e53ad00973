"""A large upload on Vertex AI at its worst: no ids, five objects, failing rows, cancelled half-way."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchdrop_local.emulators.gemini import RowFaults
from batchdrop_local.emulators.vertex import Faults
from tests.harness import Stack, assert_accounted, lines
from tests.vertex import on_vertex

LINES = 50_000


@pytest.mark.embedded_only
@pytest.mark.timeout(600)
def test_every_line_has_one_row_when_a_large_job_is_cancelled_half_way(stack: Stack, tmp_path: Path) -> None:
    worst = Faults(
        end_state="CANCELLED",
        answered_share=0.5,
        running_seconds=100,
        output_objects=5,
        echo_keys=False,
        rows=RowFaults(error_rate=0.01, error_codes=(13,), heal=True),
    )
    with on_vertex(stack, tmp_path, worst) as (vertex, service):
        info = vertex.upload("team/a.jsonl", lines(*(f"text {number}" for number in range(LINES))))
        vertex.run(info, until=lambda _: service.calls["create"] == 1)
        service.faults = Faults(echo_keys=False, output_objects=5, rows=worst.rows)
        job = vertex.run(info)
        assert_accounted(vertex, job)
        assert (job.verdict, job.counts.results) == ("complete", LINES)
        sent = service.stats()["requests"]
        print(f"{service.calls['create']} jobs, {sent} requests sent for {LINES} lines")
        assert 1.4 * LINES < sent < 1.6 * LINES, "only what had no row was sent again"
        assert sum(shard.unknown_rows for shard in vertex.shards(job.job_id)) == 0
