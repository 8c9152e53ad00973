"""A function that computes without end, served as ours are in the cloud: its worker is ended, and the next call goes.

Cloud Run ends the request at its timeout and leaves the instance running
(cloud.google.com/run/docs/configuring/request-timeout). What ends the work is gunicorn, if it runs one thread
(functions_framework/_http/gunicorn.py); Cloud Run names the timeout in CLOUD_RUN_TIMEOUT_SECONDS.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from batchdrop_pulumi.functions import SERVED

TIMEOUT_SECONDS = 3
PATIENCE_SECONDS = 30.0
SOURCE = """
def work(request):
    what = request.get_data()
    while what == b"a loop":
        pass
    if what == b"a step that holds the interpreter":
        return str(len(range(10 ** 400_000_000)))
    return "done"
"""


@pytest.fixture
def port(tmp_path: Path) -> Generator[int]:
    """The port of a function that is served with the variables of ours."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    (tmp_path / "main.py").write_text(SOURCE)
    environment = {**os.environ, **SERVED, "CLOUD_RUN_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "functions_framework", "--source", "main.py", "--target", "work"]
    command += ["--host", "127.0.0.1", "--port", str(number)]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE_SECONDS
    while call(number, b"") != "done":
        assert time.monotonic() < until, "it was never served"
        time.sleep(0.05)
    yield number
    process.terminate()
    process.wait()


def call(port: int, body: bytes) -> str:
    """Return what the function answers, nothing when its worker ended or takes no longer than patience."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", "/", body)
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else ""
    except TimeoutError:
        return "it hangs"
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


@pytest.mark.parametrize("endless", [b"a loop", b"a step that holds the interpreter"])
def test_a_worker_that_computes_past_the_timeout_is_ended_and_the_next_call_goes(port: int, endless: bytes) -> None:
    assert call(port, endless) == ""
    assert call(port, b"") == "done"
