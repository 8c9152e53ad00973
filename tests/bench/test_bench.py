"""The benchmarks stay alive: the two cheapest run whole, one of the streams and the cost on a few requests."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.bench import cold, decoding, faults, hot, many, rivalry, streaming
from tests.bench import cost as cost_bench
from tests.bench.data import line, lines, upload
from tests.bench.far import Writes
from tests.bench.figures import Figure, Size, table, write_json
from tests.bench.kinds import KINDS
from tests.bench.prices import cost
from tests.bench.stands import stand
from tests.bench.virtual import Schedule


@pytest.mark.parametrize("size", [200, 540, 942, 4000])
def test_a_line_has_the_length_asked_for_and_is_json(size: int) -> None:
    assert len(line(7, size)) == size
    assert json.loads(line(7, size))["key"] == "00000007"


def test_an_upload_has_about_the_size_asked_for_and_its_keys_differ() -> None:
    found = b"".join(upload(100_000, 540)).splitlines()
    assert abs(len(b"\n".join(found)) - 100_000) < 600
    assert len({json.loads(entry)["key"] for entry in found}) == len(found)


def test_a_goal_bounds_the_ratio_when_there_is_a_floor_and_else_the_value() -> None:
    assert Figure("b", "w", 3.0, "s", 2.0, 1.6).met
    assert not Figure("b", "w", 3.0, "s", None, 1.6).met
    assert Figure("b", "w", 3.0, "s").met is None


def test_decoding_is_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoding.SECONDS, Size.SMALL, 0.002)
    figures = list(decoding.run(Size.SMALL))
    write_json(tmp_path / "bench.json", Size.SMALL, figures)
    written = json.loads((tmp_path / "bench.json").read_text())
    assert [entry["what"] for entry in written["figures"]][:3] == ["200 bytes", "200 bytes, spaced", "540 bytes"]
    assert all(entry["ratio"] > 0 for entry in written["figures"])
    assert "orjson MB/s" in table(figures)


def test_cold_imports_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cold.RUNS, Size.SMALL, 1)
    figures = list(cold.run(Size.SMALL))
    assert [figure.what for figure in figures] == list(cold.NAMES)
    assert not any("google.cloud" in str(figure.context["heavy"]) for figure in figures)


def test_intake_and_write_are_measured_on_the_same_upload() -> None:
    with stand() as it:
        info = it.put(lines(50, 540))
        taken = streaming.intake(it, info)
        written = streaming.write(it, info, "in order", replayed=True, goal=2.0)
    assert taken.ratio is not None
    assert written.context["rows"] == 50
    assert it.tally.bytes["objects.read"] >= 2 * info.size


def test_uploads_of_every_kind_are_taken_and_written() -> None:
    with stand() as it:
        for kind in KINDS:
            taken, written = streaming.of_kind(it, kind, 20 * len(kind.line))
            assert taken.ratio is not None
            assert written.context["rows"] == 21


def test_amounts_are_priced_exactly() -> None:
    assert cost({"write": 200_000.0}) == {"write": Decimal("0.18")}


def test_ours_the_script_and_curl_run_in_turn_on_one_file() -> None:
    wall, later, cpu, memory = rivalry.measured(rivalry.SOON, rounds=1)
    assert all(figure.floor and figure.value > 0 for figure in (wall, cpu, memory))
    assert later.goal == rivalry.LATER_SECONDS
    assert float(memory.context["curl"]) < (memory.floor or 0)


def test_a_killed_script_pays_twice_and_ours_does_not() -> None:
    trouble = next(entry for entry in faults.TROUBLES if entry.name == "kill -9 after create")
    lost, twice = faults.measured(50, (trouble,))
    assert (lost.value, lost.floor) == (0, 0)
    assert (twice.value, twice.floor) == (0, 1)
    assert (twice.context["starts"], twice.context["script's starts"]) == (2, 2)


def test_many_uploads_are_timed_and_their_calls_counted() -> None:
    assert many.timed("embedded", 2, many.LIMIT).value > 0
    found = {figure.what: figure for figure in many.counts("embedded", 2)}
    assert found["documents written"].value >= 10
    assert found["leases tried"].value >= found["messages published"].value >= 3
    assert found["provider calls"].value >= 5


def test_a_virtual_hour_counts_how_often_each_document_is_written() -> None:
    end, *rates = hot.hot(3)
    found = {figure.what: figure for figure in rates}
    assert end.context == {"uploads": 8, "done": 8}
    assert found["capacity, the account, writes a second"].value > 0
    assert found["jobs, writes a second"].context["documents"] == 8


def test_a_full_tick_says_at_how_many_batches_it_did_not_look() -> None:
    seconds, left = hot.full_tick(5)
    assert seconds.value > 5 * 0.01
    assert left.value == 0


def test_who_sleeps_on_the_virtual_clock_is_woken_in_the_order_of_time() -> None:
    clock, woken = Schedule(), list[tuple[float, str]]()

    def sleeper(name: str, seconds: float) -> None:
        clock.sleep(seconds)
        woken.append((clock.seconds, name))

    clock.after(1, lambda: sleeper("late", 5))
    clock.after(2, lambda: sleeper("early", 1))
    clock.run()
    assert woken == [(3, "early"), (6, "late")]


def test_the_worst_minute_of_a_document_is_its_rate() -> None:
    writes = Writes()
    writes.times["capacity", "a"] = [0.0, *range(100, 190), 500.0]
    assert writes.sustained(("capacity", "a")) == 1.0


def test_a_million_requests_cost_more_in_many_files() -> None:
    one, many_files = cost_bench.spent(20, 1), cost_bench.spent(20, 4)
    assert (one["storage"] > 0, many_files["write"] > 2 * one["write"]) == (True, True)
