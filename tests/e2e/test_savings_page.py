"""The savings page in a real browser: it stands alone, its charts are drawn, it fits a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from batchdrop.core.settings import CommonSettings
from tests.harness import Stack, lines

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or ""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=2000",
)
WIDE = "<script>document.title=document.documentElement.scrollWidth+' '+innerWidth</script>"


@pytest.mark.skipif(not BROWSER, reason="no Chromium here: `apt install chromium`")
@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_draws_its_charts_without_a_network_and_fits_the_window(
    stack: Stack, tmp_path: Path, width: int
) -> None:
    stack.run(stack.upload("blue/a.jsonl", lines("one", "two", "three [[emulate:error=3]]")))
    stack.run(stack.upload("a-team-whose-name-is-rather-long/b.jsonl", lines(*map(str, range(30)))))
    stack.advance(86_400)
    stack.tick()
    page = b"".join(stack.objects.read(stack.context(CommonSettings).settings.output_bucket, "_batchdrop/savings.html"))
    assert not re.search(rb"""(src|href)=|url\(|@import|https?://""", page), "the page needs a network"
    path = tmp_path / "page.html"
    path.write_bytes(page + WIDE.encode())
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom"]
    done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    title = re.search(r"<title>(\d+) (\d+)</title>", done.stdout)
    assert title is not None, done.stdout[:300]
    assert int(title[1]) <= int(title[2]), "the page is wider than its window"
    assert done.stdout.count("<svg") == 3
    assert "blue" in done.stdout
