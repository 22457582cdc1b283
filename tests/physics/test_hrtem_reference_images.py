"""Micrographs whose truth somebody else computed or measured."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from PIL import Image

from friedel.core.arrays import BoolArray, FloatArray
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph
from friedel.crystal import load_phases
from friedel.identify.grains.components import map_micrograph
from friedel.patterns.diffractogram import diffractogram
from friedel.spots.cfar import Cfar


def multislice(folder: Path, name: str) -> tuple[Micrograph, FloatArray, BoolArray]:
    """Image, its reflections (N, 2) in 1/Å, and which of them stand out of the noise twentyfold."""
    truth = json.loads((folder / "multislice" / "hrtem" / f"{name}_truth.json").read_text())
    with mrcfile.open(folder / "multislice" / "hrtem" / f"{name}.mrc") as file:
        image = np.array(file.data)
    spots = [spot for grain in truth["grains"] for spot in grain["spots"]]
    k = np.array([(spot["gy"], spot["gx"]) for spot in spots])
    return Micrograph(image, RealGrid((0.37, 0.37))), k, np.array([spot["snr_power"] >= 20 for spot in spots])


@pytest.mark.parametrize("name", ["hr01", "hr04"])
def test_spots_of_a_multislice_image_are_reflections_of_its_grains(shared_data, name):
    image, listed, visible = multislice(shared_data, name)
    k = Cfar().find(diffractogram(image), (0.2, 1.0)).k_inv_a
    apart = np.minimum(*(np.hypot(*(k[:, None] - sign * listed).transpose(2, 0, 1)) for sign in (1, -1)))
    assert (apart.min(axis=1) < 0.01).mean() >= 0.9
    assert (apart.min(axis=0) < 0.01)[visible].mean() >= 0.8


def test_phases_of_a_multislice_image_are_found_in_their_grains(shared_data):
    image, _, _ = multislice(shared_data, "hr04")
    result = map_micrograph(image, load_phases(["lif", "li", "li2o", "li2co3"]))
    with np.load(shared_data / "multislice" / "hrtem" / "hr04_truth.npz") as truth:
        multi = truth["multi"]
    labels = result.phase_map.labels()
    for bit in range(4):
        is_there = (multi >> bit & 1).astype(bool)
        assert (labels >> bit & 1)[is_there].mean() > 0.75
    assert abs(result.match.scale - 1) < 0.005


def test_angles_and_ratios_of_silicon_along_110_are_right(shared_data):
    path = shared_data / "real" / "stem_lattice" / "Si110_5nmX25us_03_none_none.png"
    image = np.asarray(Image.open(path).convert("F"))
    pattern = diffractogram(Micrograph(image, RealGrid((0.1, 0.1))))
    spots = Cfar().find(pattern, (0.1, 1.5))
    assert len(spots) >= 3  # {111} twice and {220}; {002} is forbidden
    k = spots.k_inv_a[np.argsort(spots.radius_inv_a)][:3]
    radii = np.hypot(*k.T)
    angles = np.sort(np.rad2deg(np.arctan2(k[:, 0], k[:, 1])) % 180)
    gaps = np.sort(np.append(np.diff(angles), 180 + angles[0] - angles[-1]))
    np.testing.assert_allclose(radii / radii[0], [1, 1, np.sqrt(8 / 3)], rtol=0.03)
    np.testing.assert_allclose(gaps, [35.26, 35.26, 109.47], atol=2)
