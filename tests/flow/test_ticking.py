"""The local scheduler: a tick a second while something is open, seldom otherwise, and never later than needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from batchdrop.core.settings import CommonSettings
from batchdrop_local.emulators.gemini import Faults, GeminiEmulator
from batchdrop_local.stack.ticking import nothing_open, ticking
from tests.harness import Stack, lines

WAIT_SECONDS = 30.0
ASKED = 20


class Counted:
    """Something that is counted, and waited for."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def reaches(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, WAIT_SECONDS)


@contextmanager
def polled(ticks: Counted) -> Generator[str]:
    """Serve an address that counts its calls."""

    class Poll(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()
            ticks.add()

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Poll) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_ticks_are_seldom_while_nothing_is_open_and_come_at_once_when_something_is() -> None:
    ticks, asked, busy = Counted(), Counted(), threading.Event()

    def idle() -> bool:
        asked.add()
        return not busy.is_set()

    with polled(ticks) as url, ticking(url, 0.01, idle=idle, idle_seconds=3600):
        assert asked.reaches(ASKED)
        assert ticks.count == 1, "the first one"
        busy.set()
        assert ticks.reaches(5)


def test_the_first_ticks_after_something_was_opened_come_soon_and_then_seldom() -> None:
    ticks, asked, busy = Counted(), Counted(), threading.Event()

    def idle() -> bool:
        asked.add()
        return not busy.is_set()

    with polled(ticks) as url, ticking(url, 3600, idle=idle, first_seconds=0.01, idle_seconds=3600):
        assert asked.reaches(ASKED)
        assert ticks.count == 1, "the first one"
        busy.set()
        assert ticks.reaches(5)
        fifth = time.monotonic()
        assert ticks.reaches(9)
        assert time.monotonic() - fifth > 0.2, "each pause is half as long again as the one before: 0.08, 0.11, 0.17 s"


def test_ticks_go_on_while_nothing_is_open() -> None:
    ticks = Counted()
    with polled(ticks) as url, ticking(url, 0.01, idle=lambda: True, idle_seconds=0.05):
        assert ticks.reaches(3)


def test_something_is_open_from_the_record_of_an_upload_until_its_job_is_cleaned(
    stack: Stack, gemini: GeminiEmulator
) -> None:
    gemini.faults = Faults(running_seconds=300)
    context = stack.context(CommonSettings)
    assert nothing_open(context)
    info = stack.upload("a.jsonl", lines("one"))
    stack.receive_only(info)
    assert not nothing_open(context)
    stack.run(info, until=lambda job: any(shard.state == "SUBMITTED" for shard in stack.shards(job.job_id)))
    assert not nothing_open(context)
    stack.run(info, until=lambda job: job.state.terminal)
    stack.run(info)
    assert nothing_open(context)
