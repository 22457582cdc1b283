"""The page in a browser: from a file to a map, and the same map by the command that it copies."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from stripping_proxy import PREFIX, stripping_proxy

import friedel as fr
from friedel.pipeline.runs.files import load_phase_map

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed; on Debian: apt-get install chromium"),
    pytest.mark.filterwarnings("ignore"),
]


def friedel(*words: str) -> None:
    code = "from friedel.cli.main import app; app()"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small NMC811 scan, and a file whose name would be markup."""
    out = tmp_path_factory.mktemp("page")
    (out / "data").mkdir()
    friedel(
        "simulate", "scan", "--out", str(out / "data" / "nmc.zarr"), "--truth", str(out / "truth.zarr"),
        "--scan-shape", "10,14", "--shape", "96,96", "--step-inv-a", "0.022", "--quiet",
    )  # fmt: skip
    (out / "data" / "<img src=x onerror=document.title='bad'>.mrc").write_bytes(b"no micrograph")
    x = np.arange(600)[None, :]
    fringes = np.random.default_rng(1).normal(100, 5, (400, 600)) + 12 * np.cos(2 * np.pi * x * 0.3 / 2.326)
    image = fr.Micrograph(fringes.astype(np.float32), fr.RealGrid((0.3, 0.3)), fr.Beam(300.0))
    fr.write_micrograph(out / "data" / "lif.mrc", image)
    frames = np.random.default_rng(2).normal(100, 5, (4, 64, 80)).astype(np.float32)
    tifffile.imwrite(out / "data" / "series.tif", frames, photometric="minisblack")
    beam = np.exp(-((np.arange(64) - 32.0) ** 2) / 8)
    with h5py.File(out / "data" / "list.hspy", "w") as file:
        signal = file.create_group("Experiments/s")
        signal["data"] = np.random.default_rng(3).poisson(50 * np.outer(beam, beam), (12, 64, 64)).astype(np.uint16)
        for i, unit in enumerate(("", "1/nm", "1/nm")):
            axis = {"name": f"a{i}", "scale": 0.0, "offset": 0.0, "navigate": i == 0, "units": unit}
            signal.create_group(f"axis-{i}").attrs.update(axis)
    return out


@contextlib.contextmanager
def serving(folder: Path, runs: Path, *options: str) -> Iterator[str]:
    """Start ``friedel gui``; yields the address that it prints."""
    words = ["gui", str(folder), "--runs", str(runs), "--port", "0", "--no-browser", *options]
    code = "from friedel.cli.main import app; app()"
    with subprocess.Popen([sys.executable, "-u", "-c", code, *words], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().partition(": ")[2].strip()
        server.terminate()


@pytest.fixture(scope="module")
def address(work: Path) -> Iterator[str]:
    with serving(work / "data", work / "runs") as one:
        yield one


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        profile = tmp_path_factory.mktemp("profile")
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=ARGUMENTS, headless=True, viewport={"width": 1280, "height": 800},
            permissions=["clipboard-read", "clipboard-write"],
        )  # fmt: skip
        yield context
        context.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    one = browser.new_page()
    one.set_default_timeout(30_000)
    faults: list[str] = []
    one.on("pageerror", lambda error: faults.append(str(error)))
    one.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
    one.goto(address)
    one.wait_for_selector(".entry")
    yield one
    assert faults == []
    one.close()


def open_scan(page: Any) -> None:
    page.click(".entry:has-text('nmc.zarr')")
    page.wait_for_selector("canvas[data-probe]")


def middle_of(page: Any, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


IMAGE, PATTERN = ".view:nth-child(1) canvas[role]", ".view:nth-child(2) canvas[role]"


def choose(page: Any, *phases: str) -> None:
    for phase in phases:
        page.fill("input[type=search]", phase)
        page.click(f"[data-phase='{phase}']")


def test_a_scan_is_mapped_in_a_region_and_the_copied_command_gives_the_same(page: Any, work: Path) -> None:
    open_scan(page)
    choose(page, "nmc811-o3", "nmc811-o1")
    page.click("button:text-is('Region')")
    x, y = middle_of(page, IMAGE)
    page.mouse.move(x - 120, y - 60)
    page.mouse.down()
    page.mouse.move(x + 60, y + 80, steps=4)
    page.mouse.up()
    (y0, y1), (x0, x1) = ([int(i) for i in part.split(":")] for part in page.inner_text("output.region").split(","))
    assert 3 <= y1 - y0 <= 10
    assert 3 <= x1 - x0 <= 14
    page.fill("input[aria-label='Name of the run']", "first")
    page.click("button:text-is('Copy as command')")
    page.wait_for_selector(".notice.done")
    command = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    page.click("button:text-is('Run')")
    page.wait_for_selector(".answer .barline", timeout=180_000)
    shown = {
        row.get_attribute("data-phase"): row.inner_text().split("\n")[-1]
        for row in page.locator(".answer .barline").all()
    }
    summary = json.loads((work / "runs" / "first" / "summary.json").read_text())
    assert summary["n_positions"] == (y1 - y0) * (x1 - x0)
    for phase in ("nmc811-o3", "nmc811-o1", "none"):
        assert shown[phase] == f"{100 * summary['fractions'][phase]:.1f} %"
    assert command[:2] == ["friedel", "map"]
    friedel(*command[1:], "--quiet")
    one, two = (load_phase_map(work / "runs" / name) for name in ("first", "first-again"))
    assert one.presence.shape[:2] == (y1 - y0, x1 - x0)
    assert np.array_equal(one.presence, two.presence)


def test_the_pattern_follows_the_probe_by_pointer_and_by_keys(page: Any) -> None:
    open_scan(page)
    x, y = middle_of(page, IMAGE)
    page.mouse.click(x - 60, y - 40)
    before = page.get_attribute(PATTERN, "data-probe")
    page.mouse.move(x - 60, y - 40)
    page.mouse.down()
    page.mouse.move(x + 70, y + 40, steps=6)
    page.mouse.up()
    page.wait_for_function(
        "before => document.querySelectorAll('canvas[role]')[1].dataset.probe !== before", arg=before
    )
    page.wait_for_timeout(300)
    row, column = (int(i) for i in page.get_attribute(PATTERN, "data-probe").split(","))
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(f"canvas[data-probe='{row},{column - 1}']")


def test_a_dragged_ring_changes_the_virtual_image(page: Any) -> None:
    open_scan(page)
    page.wait_for_timeout(500)
    label = page.locator(".view:nth-child(2) .tools > .quiet")
    before = label.inner_text()
    x, y = middle_of(page, PATTERN)
    zoom = page.locator(PATTERN).bounding_box()["width"] / 96
    page.mouse.move(x + 36 * zoom, y)
    page.mouse.down()
    page.mouse.move(x + 25 * zoom, y, steps=5)
    page.mouse.up()
    assert label.inner_text() != before


def test_a_preview_names_what_is_at_the_probe(page: Any) -> None:
    open_scan(page)
    choose(page, "nmc811-o3")
    page.click("text=Preview this place")
    page.wait_for_selector(".found .bars", timeout=120_000)
    assert "nmc811-o3" in page.inner_text(".found .bars")


def test_a_preview_goes_when_another_place_or_file_is_shown(page: Any) -> None:
    open_scan(page)
    choose(page, "nmc811-o3")
    for move_on in (lambda: page.press(IMAGE, "ArrowRight"), lambda: page.click(".entry:has-text('lif.mrc')")):
        page.click("text=Preview this place")
        page.wait_for_selector(".found .bars", timeout=120_000)
        move_on()
        page.wait_for_selector(".found .bars", state="detached")


def test_a_square_of_a_micrograph_shows_its_fringes_by_name(page: Any) -> None:
    page.click(".entry:has-text('lif.mrc')")
    page.wait_for_selector("canvas[data-probe]")
    choose(page, "lif")
    page.click("text=Preview this place")
    page.wait_for_selector(".found table", timeout=120_000)
    assert "lif" in page.inner_text(".found table")


def test_names_and_errors_are_text(page: Any) -> None:
    page.click(".entry:has-text('<img')")
    page.wait_for_selector(".notice.error")
    assert page.locator("img").count() == 0
    assert page.title() == "friedel"
    assert page.inner_text(".notice.error span").endswith(".")


def test_what_a_file_lacks_is_asked_for_by_name_and_its_errors_go_when_it_is_given(page: Any) -> None:
    """A list of patterns without scale and without the shape of the scan, as many detectors write them."""
    page.click(".entry:has-text('list.hspy')")
    page.wait_for_selector("canvas[data-probe]")
    assert "Fill in “scan shape” NY,NX." in page.inner_text(".missing .warning")
    choose(page, "lif")
    page.click("text=Preview this place")
    page.wait_for_selector(".found .warning:has-text('does not tell the shape of the scan. Fill in “scan shape”')")
    page.click("[aria-label='Remove lif']")
    page.fill("[aria-label='--scan-shape']", "3,5")
    page.click(".missing button")
    page.wait_for_selector(".notice.error:has-text('takes 15 patterns, the file holds 12. Mend “scan shape” NY,NX.')")
    page.fill("[aria-label='--scan-shape']", "3,4")
    page.click(".missing button")
    page.wait_for_selector(".missing .warning:has-text('Fill in “scale of the patterns” (1/Å per pixel).')")
    assert page.locator(".notice.error").count() == 0
    page.fill("[aria-label='--step-inv-a']", "0.02")
    page.click(".missing button")
    page.wait_for_selector(".missing p:has-text('The file does not state:')")
    assert "0.02 1/Å per px (user)" in page.inner_text(".facts")
    page.click("button:text-is('Run')")
    page.wait_for_selector(".notice.error:has-text('Name at least one phase')")
    open_scan(page)
    page.wait_for_selector(".facts:has-text('nmc.zarr')")
    assert page.locator(".notice.error").count() == 0


def test_a_cif_file_becomes_a_candidate_and_a_bad_one_a_sentence(page: Any, tmp_path: Path) -> None:
    open_scan(page)
    (tmp_path / "mine.cif").write_text("data_x\n_cell_length_a 4.03\n")
    page.set_input_files("input[accept='.cif']", tmp_path / "mine.cif")
    page.wait_for_selector(".notice.error")
    from friedel.crystal import load_phase
    from friedel.crystal.cif_text import cif_text

    (tmp_path / "own-lif.cif").write_text(cif_text(load_phase("lif")))
    page.set_input_files("input[accept='.cif']", tmp_path / "own-lif.cif")
    page.wait_for_selector(".chip:has-text('own-lif')")


def test_a_real_file_opens_from_a_folder(browser: Any, shared_data: Path, tmp_path: Path) -> None:
    with serving(shared_data / "real", tmp_path / "runs") as address:
        page = browser.new_page()
        page.goto(address)
        page.click(".entry:has-text('sped_fe_gphase')")
        page.click(".entry:has-text('subset_data.hspy')")
        page.wait_for_selector("canvas[data-probe='1,1']")
        assert "2 × 2 × 256 × 256" in page.inner_text(".facts")
        page.close()


def test_the_page_works_below_the_path_of_a_proxy(browser: Any, work: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        stripping_proxy(port) as (shown_at, outside),
        serving(work / "data", tmp_path / "runs", "--port", str(port), "--base-url", shown_at) as address,
    ):
        assert address.startswith(shown_at + "?token=")
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector(".entry")
        assert page.url == shown_at
        open_scan(page)
        (cookie,) = [c for c in browser.cookies(shown_at) if c["name"] == f"friedel-{port}"]
        assert cookie["path"] == PREFIX + "/"
        assert outside == []
        page.close()


def test_a_run_is_cancelled_resumed_read_by_keys_and_compared(page: Any) -> None:
    open_scan(page)
    choose(page, "nmc811-o3", "nmc811-o1")
    for name in ("second", "third"):
        page.fill("input[aria-label='Name of the run']", name)
        page.click("button:text-is('Run')")
    page.wait_for_selector(".job:has-text('third') >> text=waiting")
    page.click(".job:has-text('third') >> text=Cancel")
    page.wait_for_selector(".job:has-text('third') >> text=cancelled")
    page.wait_for_selector(".entry.run:has-text('second')", timeout=180_000)
    page.click(".job:has-text('third') >> text=Resume")
    page.wait_for_selector(".entry.run:has-text('third')", timeout=180_000)
    page.wait_for_selector("canvas[data-map='third']")
    page.wait_for_selector(".evidence .barline")
    page.focus(IMAGE)
    note = page.locator(".view:nth-child(2) .status")
    for _ in range(3):
        page.keyboard.press("ArrowUp")
    page.wait_for_function("note => / \\d+ spots/.test(note.textContent)", arg=note.element_handle())
    page.select_option("select[aria-label='Run to compare with']", label="second")
    page.wait_for_selector("text=They agree at 100.0 %")


def test_the_ring_is_changed_by_keys(page: Any) -> None:
    open_scan(page)
    page.wait_for_selector("canvas[data-ring='12.00,36.00']")
    page.focus(PATTERN)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_selector("canvas[data-ring='17.00,37.00']")


def test_a_series_is_followed_by_its_slider(page: Any) -> None:
    page.click(".entry:has-text('series.tif')")
    page.wait_for_selector("canvas[data-frame='0']")
    page.focus("input[aria-label='Frame']")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("canvas[data-frame='2']")
    assert "frame 2 of 0–3" in page.inner_text(".frames")
