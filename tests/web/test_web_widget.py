"""The viewer in a notebook: what the kernel answers, and what the browser makes of it."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the extra [notebook] is not installed")

import friedel as fr
from friedel.core.errors import DataError
from friedel.web.frames import decode
from friedel.web.widget import Viewer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
STATIC = Path(fr.__file__).parent / "web" / "static" / "widget.js"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def scan(folder: Path) -> fr.PatternScan:
    one = fr.read(folder / "ring.zarr")
    assert isinstance(one, fr.PatternScan)
    return one


def test_the_pattern_at_the_probe_is_that_of_the_scan(scan: fr.PatternScan, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer(scan)
    sent: list[tuple[Any, Any]] = []
    monkeypatch.setattr(viewer, "send", lambda content, buffers=None: sent.append((content, buffers)))
    viewer.probe = (2, 7)
    viewer._handle_custom_msg({"id": 5, "what": "pattern"}, [])
    ((content, buffers),) = sent
    pattern, header = decode(buffers[0])
    assert content == {"id": 5}
    assert np.array_equal(pattern, scan.data[2, 7])
    assert np.allclose(header["centre_px"], (23.0, 32.0), atol=0.3)


def test_the_ring_makes_the_image(scan: fr.PatternScan) -> None:
    viewer = Viewer(scan)
    viewer._scan.sums.wait()
    viewer.ring_px = (11.0, 17.0)
    image, header = decode(viewer.picture("image"))
    assert header["rows_done"] == 6
    assert np.all(np.diff(image.mean(axis=0)) > 0)


def test_the_square_of_a_micrograph_stays_in_the_image(folder: Path) -> None:
    micrograph = fr.read(folder / "fringes.mrc")
    assert isinstance(micrograph, fr.Micrograph)
    viewer = Viewer(micrograph)
    viewer.side_px, viewer.probe = 128, (299, 2)
    power, header = decode(viewer.picture("pattern"))
    assert header["middle"] == [300 - 64, 64]
    power[54:75, 54:75] = power.min()
    k = np.hypot(*(np.array(np.unravel_index(power.argmax(), power.shape)) - 64) * header["step_inv_a"])
    assert k == pytest.approx(0.5, abs=0.04)


def test_a_map_of_another_shape_is_refused(scan: fr.PatternScan) -> None:
    wrong = fr.PhaseMap(("a",), np.zeros((5, 9, 1), np.float32), np.ones((5, 9), dtype=bool))
    with pytest.raises(DataError, match="6, 9"):
        Viewer(scan, wrong)


HARNESS = """
import viewer from "/widget.js";
const listeners = {};
const model = {
  values: await ask_kernel("state", null),
  get: (name) => model.values[name],
  set: (name, value) => { model.values[name] = value; (listeners[`change:${name}`] ?? []).forEach((one) => one()); },
  save_changes: () => ask_kernel("set", { probe: model.values.probe, ring_px: model.values.ring_px }),
  on: (event, one) => (listeners[event] ??= []).push(one),
  off: () => {},
  send: async (content) => {
    const answer = await ask_kernel("picture", content.what);
    const bytes = Uint8Array.from(atob(answer), (letter) => letter.charCodeAt(0));
    listeners["msg:custom"].forEach((one) => one({ id: content.id }, [new DataView(bytes.buffer)]));
  },
};
viewer.render({ model, el: document.querySelector("#here") });
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed; on Debian: apt-get install chromium")
def test_dragging_in_the_browser_moves_the_probe_of_the_kernel(scan: fr.PatternScan) -> None:
    from playwright.sync_api import sync_playwright

    present = np.zeros((6, 9, 1), np.float32)
    present[:, :4] = 1.0
    viewer = Viewer(scan, fr.PhaseMap(("lif",), present, np.ones((6, 9), dtype=bool)))
    viewer._scan.sums.wait()

    def answer(what: str, value: Any) -> Any:
        if what == "state":
            return {name: getattr(viewer, name) for name in ("facts", "probe", "ring_px", "side_px")}
        if what == "set":
            viewer.probe, viewer.ring_px = (tuple(value[name]) for name in ("probe", "ring_px"))
            return None
        return base64.b64encode(viewer.picture(value)).decode()

    page_text = f"<body><div id=here style='width:900px'></div><script type=module>{HARNESS}</script>"
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.expose_function("ask_kernel", answer)
        page.route("**/widget.js", lambda route: route.fulfill(path=STATIC))
        page.route("http://notebook/", lambda route: route.fulfill(body=page_text, content_type="text/html"))
        page.goto("http://notebook/")
        page.wait_for_selector("canvas[data-probe='3,4']")
        box = page.locator("canvas[role]").first.bounding_box()
        assert box is not None
        zoom = min(box["width"] / 9, box["height"] / 6)
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(*middle)
        page.mouse.down()
        page.mouse.move(middle[0] + 2 * zoom, middle[1] - 1 * zoom, steps=3)
        page.mouse.up()
        page.wait_for_selector("canvas[data-probe='2,6'], canvas[data-probe='1,6'], canvas[data-probe='2,7']")
        assert faults == []
        browser.close()
    assert abs(viewer.probe[0] - 2) <= 1
    assert abs(viewer.probe[1] - 6) <= 1
