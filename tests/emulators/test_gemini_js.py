"""The Gemini emulator and the unmodified JavaScript SDK; the tests themselves are in js/conformance.test.mjs."""

from __future__ import annotations

from batchdrop_local.emulators.gemini import GeminiEmulator
from tests.emulators.javascript import run_tests


def test_the_javascript_sdk_does_everything_it_can(gemini: GeminiEmulator) -> None:
    assert "# pass 10" in run_tests("conformance.test.mjs", {"GEMINI_URL": gemini.url})
