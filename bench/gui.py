"""Measure how long the page takes from a movement of the pointer to the picture: ``python bench/gui.py [--write]``.

A headless Chromium drags on the page as a hand would, a move every 16 ms, and the page itself notes when the event of
a place came and when the picture of that place was drawn. What the screen then needs to show it, up to 16 ms, is not in
it. On a machine with other work, ``chrt -r 1`` before the command serves it first. With ``--write`` the table is put
into docs/howto/browser.md.
"""

from __future__ import annotations

import argparse
import datetime as dt
import math
import os
import platform
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import friedel as fr
from friedel.io.stacks import write_series

if TYPE_CHECKING:
    from playwright.sync_api import Page


@dataclass(frozen=True)
class Measured:
    """Milliseconds from event to picture, and those of the processor that the server took for a picture."""

    latency_ms: list[float]
    server_ms: float


#: What was drawn, and how fast.
Row = tuple[str, Measured]
DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- latency: bench/gui.py -->", "<!-- end of latency -->"
#: Notes the time from the newest event when a picture was asked for to the drawing of that picture. Pictures of one
#: canvas are asked for one after the other; one attribute of the canvas changes when a picture is shown, and another
#: when it is drawn.
WATCH = """
([canvasSelector, attribute, source, address]) => {
  const canvas = document.querySelector(canvasSelector), fetchOfPage = window.fetch;
  let newest = 0, asked = 0, shown = canvas.dataset[attribute], pending = null, drawn = canvas.dataset.drawn;
  const stop = new AbortController();
  const note = (event) => { newest = event.timeStamp; };
  document.querySelector(source).addEventListener('pointermove', note, { signal: stop.signal, capture: true });
  document.querySelector(source).addEventListener('input', note, { signal: stop.signal, capture: true });
  window.fetch = (...words) => {
    if (String(words[0]).includes(address)) asked = newest;
    return fetchOfPage(...words);
  };
  window.latencies = [];
  const observer = new MutationObserver(() => {
    if (canvas.dataset.drawn !== drawn) {
      drawn = canvas.dataset.drawn;
      if (pending !== null) window.latencies.push(performance.now() - pending);
      pending = null;
    }
    if (canvas.dataset[attribute] !== shown) {
      shown = canvas.dataset[attribute];
      pending = asked;
    }
  });
  observer.observe(canvas, { attributes: true });
  window.stopWatching = () => {
    stop.abort();
    observer.disconnect();
    window.fetch = fetchOfPage;
    return window.latencies;
  };
}
"""


@dataclass(frozen=True)
class Dragging:
    """A hand on the page, and the process that answers it."""

    page: Page
    server: int
    moves: int

    def watch(self, what: tuple[str, str, str, str], move: Callable[[int], object]) -> Measured:
        """Make moves, one every 16 ms as far as the machine keeps up."""
        self.page.evaluate(WATCH, list(what))
        before = self._cpu_s()
        for i in range(self.moves):
            due = time.perf_counter() + 0.016
            move(i)
            time.sleep(max(0.0, due - time.perf_counter()))
        self.page.wait_for_timeout(500)
        found: list[float] = self.page.evaluate("window.stopWatching()")
        return Measured(found, 1e3 * (self._cpu_s() - before) / max(len(found), 1))

    def _cpu_s(self) -> float:
        """Seconds of the processor that the server has taken."""
        fields = Path(f"/proc/{self.server}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure every case, print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=300, help="moves of the pointer in each case")
    parser.add_argument("--write", action="store_true", help="put the table into docs/howto/browser.md")
    args = parser.parse_args()
    sys.path.insert(0, str(DOCS / "make"))
    from gui_page import chromium, serving

    with tempfile.TemporaryDirectory() as folder:
        data, runs = Path(folder) / "data", Path(folder) / "runs"
        write_inputs(data)
        with serving(data, runs) as (address, server), chromium() as browser:
            page = browser.new_page(viewport={"width": 1600, "height": 900})
            page.goto(address)
            page.wait_for_selector(".entry")
            drag = Dragging(page, server, args.moves)
            rows = [
                measure_pattern(drag, "scan-128.zarr"),
                measure_pattern(drag, "scan-256.zarr"),
                measure_ring(drag, "scan-128.zarr"),
                *(measure_square(drag, side) for side in (512, 1024)),
                measure_series(drag),
            ]
    table = table_of(rows)
    print(table)
    if args.write:
        path = DOCS / "howto" / "browser.md"
        text = path.read_text(encoding="utf-8")
        before, after = text.index(BEGIN) + len(BEGIN), text.index(END)
        path.write_text(f"{text[:before]}\n\n{table}\n\n{text[after:]}", encoding="utf-8")


def write_inputs(folder: Path) -> None:
    """Write scans, a micrograph and a series; what they show does not matter, their sizes do."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for side, shape in ((128, (64, 64)), (256, (24, 32))):
        y, x = np.indices((side, side)) - side / 2
        expected = 0.1 + 300 * np.exp(-(y**2 + x**2) / 30) + 3 * (np.abs(np.hypot(y, x) - side / 4) < 2)
        data = rng.poisson(expected, (*shape, side, side)).astype(np.uint16)
        detector = fr.ReciprocalGrid((2.4 / side, 2.4 / side), (side / 2, side / 2))
        fr.write_scan(
            folder / f"scan-{side}.zarr", fr.PatternScan(data, detector, fr.RealGrid((10.0, 10.0)), fr.Beam(300.0))
        )
    grid = fr.RealGrid((0.3, 0.3))
    fr.write_micrograph(
        folder / "large.mrc", fr.Micrograph(rng.normal(100, 10, (4096, 4096)).astype(np.float32), grid, fr.Beam(300.0))
    )
    frames = (fr.Micrograph(rng.normal(100, 10, (1024, 1024)).astype(np.float32), grid) for _ in range(40))
    write_series(folder / "series.mrc", frames, 40)


def measure_pattern(drag: Dragging, name: str) -> Row:
    """Drag the probe over a scan."""
    from gui_page import IMAGE, PATTERN, middle, open_file

    page = drag.page
    open_file(page, name)
    page.wait_for_timeout(4000)  # the sums over rings are read meanwhile
    x, y = middle(page, IMAGE)
    page.mouse.move(x, y)
    page.mouse.down()
    found = drag.watch(
        (PATTERN, "probe", IMAGE, "/pattern"),
        lambda i: page.mouse.move(x + 130 * math.sin(0.13 * i), y + 100 * math.sin(0.17 * i)),
    )  # fmt: skip
    page.mouse.up()
    side = name.split("-")[1].split(".")[0]
    return f"pattern of {side} x {side} px at the probe", found


def measure_ring(drag: Dragging, name: str) -> Row:
    """Drag the outer radius of the ring."""
    from gui_page import IMAGE, PATTERN, middle, open_file

    page = drag.page
    open_file(page, name)
    page.wait_for_timeout(2000)
    x, y = middle(page, PATTERN)
    box = page.locator(PATTERN).bounding_box()
    assert box is not None
    zoom = min(box["width"], box["height"]) / 128
    page.mouse.move(x + 48 * zoom, y)
    page.mouse.down()
    found = drag.watch(
        (IMAGE, "ring", PATTERN, "/virtual"),
        lambda i: page.mouse.move(x + (45 - 13 * math.sin(0.1 * i)) * zoom, y),
    )  # fmt: skip
    page.mouse.up()
    return "virtual image of 64 x 64 positions, ring dragged", found


def measure_square(drag: Dragging, side: int) -> Row:
    """Drag the square of a micrograph."""
    from gui_page import IMAGE, PATTERN, middle, open_file

    page = drag.page
    open_file(page, "large.mrc")
    x, y = middle(page, IMAGE)
    box = page.locator(IMAGE).bounding_box()
    assert box is not None
    zoom = min(box["width"], box["height"]) / 4096
    resize_square(page, x, y, 512 * zoom / 2, (side - 512) * zoom)
    page.mouse.move(x, y)
    page.mouse.down()
    found = drag.watch(
        (PATTERN, "probe", IMAGE, "/fft"),
        lambda i: page.mouse.move(x + 90 * math.sin(0.13 * i), y + 90 * math.sin(0.17 * i)),
    )  # fmt: skip
    page.mouse.up()
    words = page.inner_text(".view:nth-child(2) .status").split()
    return f"FFT of a square of {words[2]} px in 4096 x 4096 px", found


def resize_square(page: Page, x: float, y: float, half: float, by: float) -> None:
    """Drag the corner of the square, then its middle back to the middle of the picture."""
    page.mouse.move(x + half, y + half)
    page.mouse.down()
    page.mouse.move(x + half + by, y + half + by, steps=4)
    page.mouse.up()
    page.wait_for_timeout(500)


def measure_series(drag: Dragging) -> Row:
    """Go through the frames of a series."""
    from gui_page import IMAGE, open_file

    page = drag.page
    open_file(page, "series.mrc")
    slider = "input[aria-label='Frame']"
    page.focus(slider)
    found = drag.watch(
        (IMAGE, "frame", slider, "/picture"),
        lambda i: page.keyboard.press("ArrowRight" if i // 35 % 2 == 0 else "ArrowLeft"),
    )  # fmt: skip
    return "frame of 1024 x 1024 px of a series", found


def table_of(rows: list[Row]) -> str:
    """Write the latencies as a table, with machine, load and date."""
    lines = ["| picture | p50 (ms) | p95 (ms) | pictures | server's processor (ms) |", "|---|---:|---:|---:|---:|"]
    for what, found in rows:
        low, high = np.percentile(found.latency_ms, (50, 95))
        lines.append(f"| {what} | {low:.0f} | {high:.0f} | {len(found.latency_ms)} | {found.server_ms:.0f} |")
    first = os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO)
    where = (
        f"{dt.datetime.now(dt.UTC).date()}, {platform.machine()} with {os.cpu_count()} cores under a load of "
        f"{os.getloadavg()[0]:.0f}{', served before all other work (chrt -r 1)' if first else ''}, headless Chromium "
        "without a GPU, 1600 x 900: from the event of the pointer to the drawn canvas."
    )
    return "\n".join([*lines, "", *textwrap.wrap(where, 120)])


if __name__ == "__main__":
    main()
