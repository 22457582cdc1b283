"""Make the pictures of docs/howto/browser.md from simulated inputs; needs Chromium.

Usage: ``python docs/make/gui_pictures.py``.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from gui_page import IMAGE, choose, chromium, middle, open_file, serving
from picture_files import FOLDER, MAX_BYTES
from PIL import Image
from playwright.sync_api import Browser, Page

import friedel as fr
from friedel.simulate.micrographs.micrograph import sei_micrograph
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

SEI = ("li", "lif", "li2o", "li2co3")
NMC = ("nmc811-o3", "nmc811-o1")


def main() -> None:
    """Drive the page through every view, and write what it shows."""
    with tempfile.TemporaryDirectory() as folder:
        data, runs = Path(folder) / "session", Path(folder) / "runs"
        write_inputs(data)
        with serving(data, runs) as (address, _), chromium() as browser:
            page = opened(browser, address, "light")
            show_scan(page)
            show_micrograph(page)
            show_series(page)
            page.close()
            dark = opened(browser, address, "dark", session=page.context.cookies())
            show_comparison(dark)


def write_inputs(folder: Path) -> None:
    """Write the demo's scan and micrograph, and a short series."""
    folder.mkdir()
    fr.write_scan(folder / "nmc811.zarr", simulate_nmc811_scan(0, ScanOptions(scan_shape=(24, 30)))[0])
    fr.write_micrograph(folder / "sei.mrc", sei_micrograph(0)[0])
    out, truth = str(folder / "sei-series.mrc"), str(folder.parent / "truth.zarr")
    sizes = ["--frames", "10", "--shape", "320,320"]
    words = ["simulate", "series", "--out", out, "--truth", truth, *sizes, "--quiet"]
    subprocess.run([sys.executable, "-c", "from friedel.cli.main import app; app()", *words], check=True)


def opened(browser: Browser, address: str, theme: Literal["light", "dark"], session: list[Any] | None = None) -> Page:
    """Open the page in a theme; the token opens it once, and the cookie from then on."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=theme)
    if session is not None:
        context.add_cookies(session)
    page = context.new_page()
    page.set_default_timeout(150_000)
    page.goto(address if session is None else address.split("?")[0])
    page.wait_for_selector(".entry")
    return page


def show_scan(page: Page) -> None:
    """Browse, preview, run and read a scan."""
    open_file(page, "nmc811.zarr")
    x, y = middle(page, IMAGE)
    page.mouse.click(x - 60, y - 30)
    page.wait_for_timeout(800)
    shoot(page, "gui-browse")
    choose(page, *NMC)
    page.click("text=Preview this place")
    page.wait_for_selector(".found .bars")
    page.wait_for_timeout(500)
    shoot(page, "gui-preview")
    start(page, "nmc811")
    page.select_option("select[aria-label='Denoise']", "none")
    start(page, "raw")
    page.wait_for_selector(".job.waiting")
    shoot(page, "gui-queue")
    page.wait_for_selector(".entry.run[title='raw']")
    page.wait_for_timeout(3000)  # a run that is done is shown
    page.click(".entry.run[title='nmc811']")
    page.wait_for_selector("canvas[data-map='nmc811']")
    page.mouse.click(x - 60, y - 30)
    page.wait_for_selector(".evidence .bars")
    page.wait_for_timeout(5000)
    shoot(page, "gui-scan")


def show_micrograph(page: Page) -> None:
    """Map a micrograph."""
    open_file(page, "sei.mrc")
    page.click(f"button[aria-label='Remove {NMC[0]}']")
    page.click(f"button[aria-label='Remove {NMC[1]}']")
    choose(page, *SEI)
    run(page, "sei")
    drag_square(page, -65, 40)
    page.wait_for_timeout(5000)
    shoot(page, "gui-micrograph")


def show_series(page: Page) -> None:
    """Map a series and go through its frames."""
    open_file(page, "sei-series.mrc")
    run(page, "sei-series")
    page.focus("input[aria-label='Frame']")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(200)
    drag_square(page, -60, 42)
    page.locator(".side").evaluate("side => { side.scrollTop = 300; }")
    page.wait_for_timeout(5000)
    shoot(page, "gui-series")


def drag_square(page: Page, right: float, down: float) -> None:
    """Move the square of a micrograph from the middle."""
    x, y = middle(page, IMAGE)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=5)
    page.mouse.up()


def show_comparison(page: Page) -> None:
    """Compare two runs of one scan."""
    page.click(".entry.run:has-text('raw')")
    page.wait_for_selector("canvas[data-map='raw']")
    page.select_option("select[aria-label='Run to compare with']", label="nmc811")
    page.wait_for_selector("text=They agree at")
    page.locator("text=They agree at").scroll_into_view_if_needed()
    page.wait_for_timeout(5000)
    shoot(page, "gui-compare")


def run(page: Page, name: str) -> None:
    """Run under a name and wait for the result."""
    start(page, name)
    page.wait_for_selector(f"canvas[data-map='{name}']")
    page.wait_for_selector(".answer .barline")


def start(page: Page, name: str) -> None:
    """Put a run into the queue."""
    page.fill("input[aria-label='Name of the run']", name)
    page.click("button:text-is('Run')")


def shoot(page: Page, name: str) -> None:
    """Write what is seen, with few colours; refuse a picture that is too large for a page."""
    page.mouse.move(640, 20)
    page.wait_for_timeout(300)
    picture = (
        Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2)
    )
    path = FOLDER / f"{name}.png"
    picture.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.name}: {size} bytes")
    assert size < MAX_BYTES, f"{path} has {size} bytes; show less in it"


if __name__ == "__main__":
    main()
