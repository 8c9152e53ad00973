"""What a function answers and says when its configuration is wrong or its code crashes."""

from __future__ import annotations

import io
import json
from functools import partial

import pytest

from batchdrop.core import logs
from batchdrop.core.settings import CommonSettings, PollSettings, SubmitSettings, load
from batchdrop.handling import NACK, answered
from tests.harness import Row


def said(log: io.StringIO) -> Row:
    [line] = log.getvalue().splitlines()
    found: Row = json.loads(line)
    return found


def loaded(settings: type[CommonSettings]) -> None:
    """Read settings as a function does when it starts."""
    load(settings)


def test_a_wrong_setting_is_named_in_the_log(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHDROP_LEASE_SECONDS", "long")
    assert answered(partial(loaded, SubmitSettings)) == NACK
    line = said(log)
    assert (line["severity"], line["code"]) == ("ERROR", "SETTINGS_INVALID")
    assert "BATCHDROP_LEASE_SECONDS" in line["sentence"]
    assert "long" not in line["sentence"]


def test_a_setting_that_is_no_json_is_named_and_not_quoted(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHDROP_ENQUEUED_TOKENS", "the-secret-word")
    assert answered(partial(loaded, PollSettings)) == NACK
    line = said(log)
    assert line["code"] == "SETTINGS_INVALID"
    assert "BATCHDROP_ENQUEUED_TOKENS" in line["sentence"]
    assert "the-secret-word" not in log.getvalue()


def test_a_crash_names_the_line_of_ours_besides_the_librarys(log: io.StringIO) -> None:
    """A field that is no text and no number is a programming error; the JSON encoder notices it."""

    def work() -> None:
        logs.log("what happened", field=object())  # type: ignore[arg-type]

    assert answered(work) == NACK
    line = said(log)
    assert (line["message"], line["severity"], line["error"]) == ("crash", "ERROR", "TypeError")
    assert (line["file"], line["own_file"]) == ("encoder.py", "core/logs.py")
    assert line["line"] > 0
    assert line["own_line"] > 0
