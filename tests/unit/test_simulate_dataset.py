"""Pairs of clean and noisy patterns, and the sets of them on disk."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from friedel.cli.main import app
from friedel.core.beam import Beam
from friedel.core.errors import DataError, FileError
from friedel.core.grids import ReciprocalGrid
from friedel.crystal import load_phase, zone_net
from friedel.simulate.patterns.detector import DetectorRanges
from friedel.simulate.patterns.diffraction import diffract, orient
from friedel.simulate.patterns.noise import NoiseRanges
from friedel.simulate.patterns.render import SpotShape, render
from friedel.simulate.ranges import Range
from friedel.simulate.training.dataset import PairOptions, make_pair, pairs, training_zones
from friedel.simulate.training.materials import Material, composition, load_materials
from friedel.simulate.training.store import load_pairs, read_manifest, write_dataset

NEVER = Range(0.0, 0.0, chance=0.0)
#: Nothing but counting statistics.
POISSON = NoiseRanges(
    dose_electrons=Range(1e5, 1e5), dim_chance=NEVER, halo_share=NEVER, amorphous_share=NEVER, blur_px=NEVER,
    ellipticity=NEVER, shift_y_px=NEVER, shift_x_px=NEVER, stop_radius_px=NEVER, salt_share=NEVER, pepper_share=NEVER,
    detector=DetectorRanges(psf_px=NEVER, tail_share=NEVER, gain=NEVER, gain_spread=NEVER, offset=NEVER,
                            read_noise_electrons=NEVER, saturation=NEVER, dead_share=NEVER, hot_share=NEVER,
                            counting_chance=1.0, tiled_chance=0.0),
)  # fmt: skip
SMALL = PairOptions(seed=3, zones=3, shape=(48, 40))


def material(name: str) -> Material:
    crystal = load_phase(name)
    return Material(crystal, "library", composition(crystal), "train")


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_noisy_pattern_scatters_about_the_clean_one_as_counts_do() -> None:
    """Chi squared per pixel of expected electrons above 5 is 1, with a standard deviation of sqrt(2 / n)."""
    pair = make_pair(material("lifepo4"), (0, 1, 0), PairOptions(seed=1, noise=POISSON))
    expected = 1e5 * pair.clean.astype(np.float64)
    bright = expected > 5
    chi2 = ((pair.noisy[bright] - expected[bright]) ** 2 / expected[bright]).mean()
    assert bright.sum() > 100
    assert chi2 == pytest.approx(1.0, abs=4 * np.sqrt(2 / bright.sum()))


def test_manifest_suffices_to_draw_the_clean_pattern_again() -> None:
    pair = make_pair(material("zno"), (1, 0, 0), PairOptions(seed=5))
    facts = json.loads(json.dumps(pair.facts))
    beam = Beam(facts["energy_kev"], facts["semi_convergence_mrad"])
    grid = ReciprocalGrid((facts["step_inv_a"],) * 2, tuple(facts["centre_px"]), np.array(facts["ellipse"]))
    spots = diffract(
        orient(load_phase(facts["material"]), tuple(facts["zone_axis"]), 2.5),
        beam,
        thickness_a=facts["thickness_a"],
        rotation_rad=facts["rotation_rad"],
        tilt_mrad=tuple(facts["tilt_mrad"]),
        scattering=facts["scattering"],
    )
    again = render(spots, grid, pair.clean.shape, SpotShape.of(beam, facts["blur_px"]))
    assert again == pytest.approx(pair.clean, rel=1e-5, abs=1e-9)
    assert pair.facts["noise"]["detector"]["seed"] > 0


def test_listed_spots_lie_where_the_clean_pattern_is_bright() -> None:
    """The light in a disk of the spot's width about each of the brightest spots is at least 0.6 of its share."""
    pair = make_pair(material("si"), (0, 1, 1), PairOptions(seed=2, noise=POISSON))
    radius_px = 1e-3 * pair.facts["semi_convergence_mrad"] / Beam(pair.facts["energy_kev"]).wavelength_a
    radius_px = radius_px / pair.facts["step_inv_a"] + 2 * pair.facts["blur_px"]
    assert len(pair.spot_share) > 4
    assert (np.diff(pair.spot_share) <= 0).all()
    rows, columns = np.indices(pair.clean.shape)
    for (y, x), share in zip(pair.spot_px[:5], pair.spot_share[:5], strict=True):
        assert pair.clean[np.hypot(rows - y, columns - x) <= radius_px].sum() > 0.6 * share
    assert float(pair.clean.sum()) <= 1.0 + 1e-6


def test_pair_does_not_depend_on_what_else_is_made() -> None:
    alone = list(pairs([material("cu")], SMALL))
    beside = list(pairs([material("nacl"), material("cu")], SMALL))[-len(alone) :]
    for a, b in zip(alone, beside, strict=True):
        assert a.facts == b.facts
        assert (a.noisy == b.noisy).all()
    other = next(pairs([material("cu")], SMALL, repeat=1))
    assert other.facts["thickness_a"] != alone[0].facts["thickness_a"]


def test_zones_are_the_lowest_that_show_two_rows() -> None:
    zones = training_zones(load_phase("cu"), 60)
    assert zones[:3] == ((0, 0, 1), (0, 1, 1), (1, 1, 1))
    assert 20 < len(zones) < 60
    assert len(training_zones(load_phase("li2co3"), 60)) == 60
    for uvw in zones:
        net = zone_net(load_phase("cu"), uvw, 1.6)
        assert np.linalg.matrix_rank(net.k_inv_a[~net.is_extinct], tol=1e-6) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"shape": (8, 128)}, "--shape"), ({"step_inv_a": 0.5}, "--step-inv-a"), ({"step_inv_a": float("nan")}, "--step"),
     ({"scattering": "magic"}, "--scattering"), ({"zones": 0}, "zones"), ({"seed": -1}, "seed")],
)  # fmt: skip
def test_impossible_options_are_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(DataError, match=named):
        PairOptions(**changes)  # type: ignore[arg-type]


def test_set_on_disk_holds_what_was_made(tmp_path: Path) -> None:
    chosen = [material("cu"), material("lif")]
    write_dataset(chosen, SMALL, tmp_path / "set")
    made, read = list(pairs(chosen, SMALL)), list(load_pairs(tmp_path / "set"))
    assert len(read) == len(made) == len(read_manifest(tmp_path / "set")) == 6
    for a, b in zip(made, read, strict=True):
        assert (a.noisy == b.noisy).all()
        assert (a.clean == b.clean).all()
        assert (a.spot_px == b.spot_px).all()
        assert (a.spot_share == b.spot_share).all()
        assert json.loads(json.dumps(a.facts)).items() <= b.facts.items()
    assert list(load_pairs(tmp_path / "set", "test")) == []


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path) -> None:
    chosen = [material(name) for name in ("cu", "lif", "zno", "si", "al")]
    write_dataset(chosen, SMALL, tmp_path / "one")
    with ProcessPoolExecutor(2, mp_context=get_context("forkserver")) as pool:
        write_dataset(chosen, SMALL, tmp_path / "two", executor=pool)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    write_dataset(chosen, PairOptions(seed=4, zones=3, shape=(48, 40)), tmp_path / "other")
    assert digest(tmp_path / "other") != digest(tmp_path / "one")


def test_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    cifs = tmp_path / "cifs"
    cifs.mkdir()
    library = Path(sys.modules["friedel.crystal.library"].__file__ or "").parent / "library"
    for name in ("cu", "lif", "zno", "si", "al", "nacl", "lifepo4", "mg"):
        (cifs / f"{name}.cif").write_bytes((library / f"{name}.cif").read_bytes())
    command = [sys.executable, "-c", "from friedel.cli.main import app; app()", "simulate", "dataset", "--cifs",
               str(cifs), "--zones", "12", "--shape", "64,48", "--out"]  # fmt: skip
    with subprocess.Popen([*command, str(tmp_path / "killed")]) as process:
        while not list((tmp_path / "killed").glob("shards/*.jsonl")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed" / "manifest.jsonl").exists()
    subprocess.run([*command, str(tmp_path / "killed"), "--resume"], check=True, capture_output=True)
    write_dataset(load_materials(cifs), PairOptions(zones=12, shape=(64, 48)), tmp_path / "whole")
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_shard_without_its_lines_is_made_again(tmp_path: Path) -> None:
    chosen = [material("cu"), material("lif")]
    write_dataset(chosen, SMALL, tmp_path / "set")
    before = digest(tmp_path / "set")
    (tmp_path / "set" / "manifest.jsonl").unlink()
    (tmp_path / "set" / "shards" / "0001-lif.jsonl").unlink()
    (tmp_path / "set" / "shards" / "0001-lif.zarr" / "noisy" / "zarr.json").write_text("{}")
    write_dataset(chosen, SMALL, tmp_path / "set", resume=True)
    assert digest(tmp_path / "set") == before


def test_other_settings_and_foreign_folders_are_refused_and_left_alone(tmp_path: Path) -> None:
    write_dataset([material("cu")], SMALL, tmp_path / "set")
    before = digest(tmp_path / "set")
    with pytest.raises(FileError, match="--resume"):
        write_dataset([material("cu")], SMALL, tmp_path / "set")
    with pytest.raises(FileError, match="other settings"):
        write_dataset([material("cu")], PairOptions(seed=9), tmp_path / "set", resume=True)
    with pytest.raises(FileError, match="other settings"):
        write_dataset([material("al")], SMALL, tmp_path / "set", resume=True)
    assert digest(tmp_path / "set") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(FileError, match="in use"):
        write_dataset([material("cu")], SMALL, tmp_path / "mine")
    with pytest.raises(FileError, match=r"no manifest\.jsonl"):
        read_manifest(tmp_path / "mine")


def test_command_says_what_it_made_and_names_slips(tmp_path: Path) -> None:
    cifs = tmp_path / "cifs"
    cifs.mkdir()
    library = Path(sys.modules["friedel.crystal.library"].__file__ or "").parent / "library"
    (cifs / "mine.cif").write_bytes((library / "cu.cif").read_bytes())
    arguments = ["simulate", "dataset", "--cifs", str(cifs), "--zones", "60", "--shape", "32,32"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "set"), "--json"])
    facts = json.loads(done.stdout)
    assert facts["pairs"] == len(read_manifest(tmp_path / "set")) < 60
    assert (facts["materials"], facts["fewer_zones"]) == (1, 1)
    again = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "set")])
    assert again.exit_code == 1
    assert "--resume" in again.stderr
    wrong = CliRunner().invoke(app, [*arguments[:-1], "32x32", "--out", str(tmp_path / "other")])
    assert wrong.exit_code == 2
