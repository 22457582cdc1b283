from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import ask, error_of

import friedel as fr
from friedel.patterns.survey import virtual_image
from friedel.web.frames import binned, decode, encode
from friedel.web.opened import OpenFiles, ScanFacts, look_at
from friedel.web.radial_sums import RadialSums
from friedel.web.roots import Roots
from friedel.web.security import Access


def opened(server: Access, path: Path, **read: Any) -> dict[str, Any]:
    status, _, body = ask(server, "/api/open", method="POST", body={"path": str(path), "read": read})
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body)
    return answer


@pytest.mark.parametrize("array", [
    np.arange(12, dtype=np.uint8).reshape(3, 4), np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000,
    np.array([[0, 70000], [3, 4]], np.uint32), np.array([[True, False]]), np.array([[-3, 4]], np.int16),
])  # fmt: skip
def test_whole_numbers_arrive_as_they_are(array: np.ndarray) -> None:
    values, header = decode(encode(array))
    assert values.shape == array.shape
    assert np.allclose(values, array, atol=0 if array.max() < 65536 else 2)
    assert header["white"] > header["black"]


def test_real_numbers_arrive_within_a_65535th_of_their_range() -> None:
    array = np.random.default_rng(0).normal(0, 3, (7, 5)).astype(np.float32)
    values, _ = decode(encode(array))
    assert np.abs(values - array).max() <= np.ptp(array) / 65535


def test_what_is_not_finite_is_drawn_as_the_least() -> None:
    values, _ = decode(encode(np.array([[np.nan, 1.0], [2.0, np.inf]])))
    assert values.tolist() == [[1.0, 1.0], [2.0, 1.0]]


def test_binning_keeps_the_mean_of_an_odd_sized_picture() -> None:
    image = np.arange(35.0).reshape(5, 7)
    assert binned(image, 2).tolist() == [[4.0, 6.0, 8.0], [18.0, 20.0, 22.0]]


def test_an_annulus_from_ring_sums_is_the_sum_over_the_annulus(folder: Path) -> None:
    scan = fr.read(folder / "ring.zarr")
    assert isinstance(scan, fr.PatternScan)
    sums = RadialSums(scan, (23.0, 32.0), np.ones((48, 64), dtype=bool))
    sums.start()
    sums.wait()
    assert sums.rows_done == 6
    assert np.allclose(sums.image(0.0, 100.0), np.asarray(scan.data[:]).sum(axis=(2, 3)))
    # Rings hold the pixels at r <= |px| < r + 1; the annulus of virtual_image is closed, so its edges lie between.
    wanted = virtual_image(scan, (10 * 0.02 - 1e-9, 17 * 0.02 - 1e-9))
    assert np.allclose(sums.image(10.0, 17.0), wanted)


def test_faint_light_far_out_survives_a_bright_beam() -> None:
    pattern = np.zeros((1, 1, 65, 65))
    pattern[0, 0, 32, 32], pattern[0, 0, 32, 60] = 2.0**30, 3.0
    scan = fr.PatternScan(pattern, fr.ReciprocalGrid((0.02, 0.02), (32.0, 32.0)))
    sums = RadialSums(scan, (32.0, 32.0), np.ones((65, 65), dtype=bool))
    sums.start()
    sums.wait()
    assert sums.image(20.0, 40.0)[0, 0] == 3.0


def test_a_scan_is_described_with_its_axes_and_centre(server: Access, folder: Path) -> None:
    facts = opened(server, folder / "ring.zarr")
    assert (facts["kind"], facts["scan_shape"], facts["pattern_shape"]) == ("scan", [6, 9], [48, 64])
    assert np.allclose(facts["centre_px"], (23.0, 32.0), atol=0.3)
    assert facts["problem"] is None


def test_the_pattern_at_a_position_is_that_of_the_file(server: Access, folder: Path) -> None:
    facts = opened(server, folder / "ring.zarr")
    scan = fr.read(folder / "ring.zarr")
    assert isinstance(scan, fr.PatternScan)
    status, headers, body = ask(server, f"/api/open/{facts['id']}/pattern?y=2&x=7")
    assert status == 200
    assert np.array_equal(decode(body)[0], scan.data[2, 7])
    again = ask(server, f"/api/open/{facts['id']}/pattern?y=2&x=7", headers={"If-None-Match": headers["etag"]})
    assert (again[0], again[2]) == (304, b"")
    mean, header = decode(ask(server, f"/api/open/{facts['id']}/pattern?y=1&x=2&y1=4&x1=5")[2])
    assert header["averaged"] == 9
    assert np.allclose(mean, np.asarray(scan.data[1:4, 2:5]).mean(axis=(0, 1)), atol=0.01)


def test_the_virtual_image_shows_the_ring_growing_to_the_right(server: Access, folder: Path) -> None:
    facts = opened(server, folder / "ring.zarr")
    while True:
        image, header = decode(ask(server, f"/api/open/{facts['id']}/virtual?inner_px=11&outer_px=17")[2])
        if header["rows_done"] == 6:
            break
    assert image.shape == (6, 9)
    assert np.all(np.diff(image.mean(axis=0)) > 0)


def test_a_fringe_gives_its_peak_in_the_live_fft(server: Access, folder: Path) -> None:
    facts = opened(server, folder / "fringes.mrc")
    assert facts["image_shape"] == [300, 400]
    power, header = decode(ask(server, f"/api/open/{facts['id']}/fft?y0=10&x0=100&side=256")[2])
    power[118:139, 118:139] = power.min()
    ky, kx = np.unravel_index(power.argmax(), power.shape)
    k = np.hypot(*(np.array([ky, kx]) - header["centre_px"]) * header["step_inv_a"])
    assert k == pytest.approx(1 / 2.0, abs=header["step_inv_a"][0])


def test_a_part_of_a_micrograph_is_binned(server: Access, folder: Path) -> None:
    facts = opened(server, folder / "fringes.mrc")
    part, _ = decode(ask(server, f"/api/open/{facts['id']}/picture?y0=20&y1=100&x0=40&x1=140&factor=4")[2])
    assert part.shape == (20, 25)


@pytest.mark.parametrize("question", [
    "pattern?y=0&x=0", "virtual?inner_px=1&outer_px=2", "fft?y0=0&x0=0&side=9000", "fft?y0=-1&x0=0&side=64",
    "picture?factor=0", "picture?frame=3&factor=a", "picture?y0=5&y1=5",
])  # fmt: skip
def test_wrong_questions_are_answered_with_a_sentence(server: Access, folder: Path, question: str) -> None:
    facts = opened(server, folder / "fringes.mrc")
    answer = ask(server, f"/api/open/{facts['id']}/{question}")
    assert answer[0] in (400, 422)
    assert error_of(answer).endswith(".")


def test_a_file_that_was_closed_says_so(server: Access) -> None:
    answer = ask(server, "/api/open/0000/pattern?y=0&x=0")
    assert answer[0] == 410
    assert "Open it again" in error_of(answer)


def test_a_file_that_is_opened_twice_at_once_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both_are_reading, started = threading.Barrier(2, timeout=30), []

    def look_together(scan: fr.PatternScan) -> ScanFacts:
        facts = look_at(scan)
        both_are_reading.wait()
        return facts

    monkeypatch.setattr("friedel.web.opened.look_at", look_together)
    monkeypatch.setattr(RadialSums, "start", lambda sums: started.append(sums))
    files = OpenFiles(Roots.of(folder))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: files.open(str(folder / "ring.zarr"), fr.ReadOptions()), range(2))
    assert first is second
    assert len(started) == 1


def test_wrong_reading_options_name_the_key(server: Access, folder: Path) -> None:
    body = {"path": str(folder / "ring.zarr"), "read": {"step_inv_a": "large", "colour": 1}}
    answer = ask(server, "/api/open", method="POST", body=body)
    assert answer[0] == 400
    assert "read.step_inv_a" in error_of(answer)
    assert "read.colour" in error_of(answer)


def test_a_file_without_a_scale_is_shown_in_pixels_and_says_what_is_missing(tmp_path: Path) -> None:
    np.save(tmp_path / "bare.npy", np.random.default_rng(1).normal(size=(64, 80)).astype(np.float32))
    one = OpenFiles(Roots.of(tmp_path)).open(str(tmp_path / "bare.npy"), fr.ReadOptions())
    assert one.problem is not None
    assert "--pixel-size-a" in one.problem
    assert one.micrograph().shape == (64, 80)


def test_real_files_open(shared_data: Path) -> None:
    files = OpenFiles(Roots.of(shared_data))
    scan = files.open(str(shared_data / "real" / "sped_fe_gphase" / "subset_data.hspy"), fr.ReadOptions())
    assert scan.scan is not None
    assert np.allclose(scan.scan.centre_px, (128.7, 132.2), atol=1.0)
    files.close()
