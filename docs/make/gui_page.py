"""``friedel gui`` in a headless Chromium, for pictures and measurements of the page."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

#: The two pictures of the page.
IMAGE, PATTERN = ".view:nth-child(1) canvas[role]", ".view:nth-child(2) canvas[role]"
_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextlib.contextmanager
def serving(folder: Path, runs: Path) -> Iterator[tuple[str, int]]:
    """Start the server; yields the address with its token, and the number of the process."""
    words = ["gui", str(folder), "--runs", str(runs), "--port", "0", "--no-browser"]
    code = "from friedel.cli.main import app; app()"
    with subprocess.Popen([sys.executable, "-u", "-c", code, *words], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().partition(": ")[2].strip(), server.pid
        finally:
            server.terminate()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser of the system."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "no chromium is installed; on Debian: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


def open_file(page: Page, name: str) -> None:
    """Open a file of the list and wait for its pictures."""
    page.click(f".entry:has-text('{name}')")
    page.wait_for_selector(f"#file-name:has-text('{name}')")
    page.wait_for_selector("canvas[data-probe]")
    page.wait_for_timeout(1000)


def middle(page: Page, selector: str) -> tuple[float, float]:
    """Middle of an element on the screen (x, y)."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def choose(page: Page, *phases: str) -> None:
    """Choose phases of the library."""
    for phase in phases:
        page.fill("input[type=search]", phase)
        page.click(f"[data-phase='{phase}']")
