"""The truth of simulated micrographs: spots, masks, maps; and the stream of random ones."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from friedel.core.errors import DataError
from friedel.crystal import load_phase, load_phases
from friedel.patterns.diffractogram import FftOptions, diffractogram, window_1d
from friedel.simulate.micrographs.camera import Exposure
from friedel.simulate.micrographs.grains import Grain, Region, region_of, star_region, voronoi_regions
from friedel.simulate.micrographs.imaging import Imaging
from friedel.simulate.micrographs.micrograph import simulate_micrograph
from friedel.simulate.micrographs.optics import Optics
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.specimen import Specimen
from friedel.simulate.micrographs.spot_labels import peak_spread_px
from friedel.simulate.micrographs.truth import spot_arrays, spot_mask
from friedel.simulate.training.micrographs import Variety, labelled_micrograph, labelled_micrographs

LIF, CRYSTALS = load_phase("lif"), load_phases(["li", "lif", "li2o", "li2co3", "au", "gap"]).crystals
SMALL = Variety(shape=(96, 128))


def scene(shape=(320, 260), *, is_strong=False, film_a=0.0, **exposure):
    """One disk of LiF [011] on wrongly scaled, anisotropic pixels."""
    sampling = Sampling(shape, (0.3, 0.28), scale_error=0.02, anisotropy=0.015, anisotropy_deg=30.0)
    disk = star_region(shape, (0.5 * shape[0], 0.45 * shape[1]), np.full(8, 50.0))
    grain = Grain(LIF, (0, 1, 1), disk, rotation_deg=17.0, tilt_mrad=(4.0, -6.0), thickness_a=40.0)
    return Specimen((grain,), film_a), Imaging(sampling, Optics(), Exposure(2000.0, **exposure), is_strong)


def power_at(image, px):
    """Power of a diffractogram between its pixels, px (2,) from its centre, with the standard window and scale."""
    wy, wx = (window_1d("tukey", n) for n in image.shape)
    mean = wy @ image @ wx / (wy.sum() * wx.sum())
    y, x = (w * np.exp(-2j * np.pi * f * np.arange(len(w)) / len(w)) for w, f in zip((wy, wx), px, strict=True))
    return abs(y @ (image - mean) @ x) ** 2 / ((wy**2).sum() * (wx**2).sum())


@pytest.mark.parametrize("is_strong", [False, True])
@pytest.mark.parametrize(
    "exposure", [{"mtf_nyquist": 0.5}, {"mtf_nyquist": 0.3, "is_counting": False, "read_noise_e": 3.0}]
)
def test_signal_to_noise_of_a_label_is_that_of_the_diffractogram(is_strong, exposure):
    specimen, imaging = scene(is_strong=is_strong, **exposure)
    drawn = [simulate_micrograph(specimen, imaging, np.random.default_rng(i)) for i in range(10)]
    spots = drawn[0][1].spots
    noise = 2000.0 * imaging.sampling.pixel_area_a2
    for i in np.flatnonzero(spots.snr > 30):
        measured = np.mean([power_at(m.data.astype(float), spots.px[i]) for m, _ in drawn])
        u2 = 4 * ((spots.px[i] / (320, 260)) ** 2).sum()
        m = exposure["mtf_nyquist"]
        floor = noise if "is_counting" not in exposure else noise / (1 + (1 / m - 1) * u2) ** 2 + 9.0
        assert measured / floor == pytest.approx(spots.snr[i] + 1, rel=0.15)
    assert (spots.snr > 30).sum() >= 4


def test_signal_to_noise_follows_fringes_out_of_the_grain():
    # Defocus takes the fringes out of their grain by its radius and more, to where the window weighs them otherwise.
    specimen, imaging = scene((480, 260))
    near = star_region((480, 260), (130.0, 130.0), np.full(8, 40.0))
    specimen = replace(specimen, grains=(replace(specimen.grains[0], region=near),))
    imaging = replace(imaging, optics=Optics(defocus_a=1300.0, focal_spread_a=5.0, semi_convergence_mrad=0.01))
    drawn = [simulate_micrograph(specimen, imaging, np.random.default_rng(i)) for i in range(10)]
    spots = drawn[0][1].spots
    noise = 2000.0 * imaging.sampling.pixel_area_a2
    strong = np.flatnonzero(spots.snr > 20)
    for i in strong:
        measured = np.mean([power_at(m.data.astype(float), spots.px[i]) for m, _ in drawn])
        assert measured / noise == pytest.approx(spots.snr[i] + 1, rel=0.15)
    assert len(strong) >= 4


def test_film_raises_the_noise_under_the_spots():
    bare, imaging = scene()
    film = replace(bare, film_a=100.0)
    with_film, without = (simulate_micrograph(s, imaging, np.random.default_rng(0))[1].spots for s in (film, bare))
    alone = replace(film, grains=(), phases=("lif",))
    images = [simulate_micrograph(alone, imaging, np.random.default_rng(i))[0] for i in range(20)]
    power = np.mean([diffractogram(m).data for m in images], axis=0) / (2000.0 * imaging.sampling.pixel_area_a2)
    raised = 0
    for i in np.flatnonzero(with_film.snr > 1):
        y, x = np.rint(with_film.px[i] + np.array([160, 130])).astype(int)
        ratio = without.snr[(without.hkl == with_film.hkl[i]).all(axis=1)][0] / with_film.snr[i]
        if ratio > 30:
            assert power[y - 2 : y + 3, x - 2 : x + 3].mean() == pytest.approx(ratio, rel=0.15)
            raised += 1
    assert raised >= 3


def test_labels_give_true_and_stated_frequencies():
    specimen, imaging = scene()
    spots = simulate_micrograph(specimen, imaging, np.random.default_rng(0))[1].spots
    radius = np.sqrt((spots.hkl**2).sum(axis=1)) / LIF.cell[0]
    np.testing.assert_allclose(np.hypot(*spots.k_true_inv_a.T), radius, rtol=1e-9)
    np.testing.assert_allclose(spots.px, spots.k_inv_a * (320 * 0.3, 260 * 0.28), rtol=1e-9)
    assert 0.005 < np.ptp(np.hypot(*spots.k_inv_a.T) / radius) < 0.02
    assert (spots.px[:, 0] > -1e-9).all()


def test_spread_of_a_spot_is_the_transform_of_its_grain():
    _, imaging = scene()
    rows = star_region((320, 260), (150.0, 120.0), np.array([80.0, 30.0, 20.0, 30.0, 80.0, 30.0, 20.0, 30.0]))
    spread = peak_spread_px(rows, (320, 260))
    weight = np.zeros((320, 260))
    weight[rows.window] = rows.mask
    weight *= np.outer(window_1d("tukey", 320), window_1d("tukey", 260))
    values, vectors = np.linalg.eigh(spread)
    for value, vector in zip(values, vectors.T, strict=True):
        q = np.sqrt(2 * np.log(2) * value) * vector / (320, 260)
        y, x = (np.exp(-2j * np.pi * f * np.arange(n)) for f, n in zip(q, (320, 260), strict=True))
        assert abs(y @ weight @ x) ** 2 / weight.sum() ** 2 == pytest.approx(0.5, abs=0.05)
    assert values[1] / values[0] > 4
    assert imaging.sampling.shape == (320, 260)


@pytest.mark.parametrize("shape", [(320, 260), (301, 255)])
def test_mask_covers_the_peaks_of_the_spots_and_repeats_under_inversion(shape):
    specimen, imaging = scene(shape)
    micrograph, truth = simulate_micrograph(specimen, imaging, np.random.default_rng(3))
    power = diffractogram(micrograph, FftOptions(outlier_sigmas=1e9)).data
    mask = spot_mask(truth.spots, shape, min_snr=40.0)
    centre = np.array(shape) // 2
    for px in truth.spots.px[truth.spots.snr > 100]:
        y, x = np.rint(px).astype(int) + centre
        box = power[y - 6 : y + 7, x - 6 : x + 7]
        row, column = np.unravel_index(np.argmax(box), box.shape)
        assert mask[y - 6 + row, x - 6 + column]
    inner = mask[1 - shape[0] % 2 :, 1 - shape[1] % 2 :]
    np.testing.assert_array_equal(inner, inner[::-1, ::-1])
    assert 0.0005 < mask.mean() < 0.02
    assert power[mask].mean() > 50 * power[~mask].mean()


def test_small_spots_keep_the_pixel_at_their_centre():
    specimen, imaging = scene()
    spots = simulate_micrograph(specimen, imaging, np.random.default_rng(0))[1].spots
    narrow = replace(spots.where(np.arange(len(spots)) == 0), spread_px=np.eye(2)[None] * 1e-4)
    mask = spot_mask(narrow, (320, 260), min_snr=0.1)
    np.testing.assert_array_equal(np.argwhere(mask)[1] - (160, 130), np.rint(narrow.px[0]))
    with pytest.raises(DataError, match="min_snr"):
        spot_mask(narrow, (320, 260), min_snr=0.0)


def test_overlapping_grains_are_both_in_the_truth():
    shape = (64, 80)
    left, right = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    left[:, :50], right[:, 30:] = True, True
    grains = (Grain(LIF, (0, 0, 1), region_of(left)), Grain(load_phase("li"), (0, 0, 1), region_of(right)))
    imaging = Imaging(Sampling(shape, (0.3, 0.3)), Optics(), Exposure())
    truth = simulate_micrograph(Specimen(grains), imaging, np.random.default_rng(0))[1]
    np.testing.assert_array_equal(truth.phase_map.presence[0, [0, 40, 79]], [[1, 0], [1, 1], [0, 1]])
    assert truth.grain_map.shape == (2, *shape)
    np.testing.assert_array_equal(truth.grain_map[:, 0, [0, 40, 79]], [[1, 1, 0], [0, 2, 2]])


def test_voronoi_cells_fill_the_picture_once():
    cover = np.zeros((70, 90), dtype=int)
    for cell in voronoi_regions((70, 90), 9, np.random.default_rng(2)):
        cover[cell.window] += cell.mask
    assert (cover == 1).all()


def test_region_outside_the_picture_is_empty():
    assert star_region((40, 50), (-300.0, 20.0), np.full(8, 10.0)).area_px == 0
    assert star_region((40, 50), (20.0, 400.0), np.full(8, 10.0)).area_px == 0


def test_same_seed_and_number_give_the_same_bytes():
    first, again = (labelled_micrograph(7, 3, CRYSTALS, SMALL) for _ in range(2))
    np.testing.assert_array_equal(first[0].data, again[0].data)
    for name, column in spot_arrays(first[1].spots).items():
        np.testing.assert_array_equal(column, spot_arrays(again[1].spots)[name])
    from_three = next(labelled_micrographs(7, CRYSTALS, SMALL, start=3))
    np.testing.assert_array_equal(first[0].data, from_three[0].data)
    assert not np.array_equal(first[0].data, labelled_micrograph(7, 4, CRYSTALS, SMALL)[0].data)
    assert not np.array_equal(first[0].data, labelled_micrograph(8, 3, CRYSTALS, SMALL)[0].data)


def test_random_micrographs_span_their_variety():
    drawn = list(itertools.islice(labelled_micrographs(1, CRYSTALS, SMALL), 40))
    empty = [not truth.specimen.grains for _, truth in drawn]
    assert 1 <= sum(empty) <= 12
    assert all(not len(truth.spots) for (_, truth), none in zip(drawn, empty, strict=True) if none)
    assert {truth.imaging.is_strong for _, truth in drawn} == {True, False}
    assert {micrograph.data.dtype for micrograph, _ in drawn} == {np.dtype(np.uint16), np.dtype(np.float32)}
    used = {grain.crystal.name for _, truth in drawn for grain in truth.specimen.grains}
    assert used == {crystal.name for crystal in CRYSTALS}
    doses = [truth.imaging.exposure.dose_e_per_a2 for _, truth in drawn]
    assert 50 <= min(doses) < 120
    assert 2000 < max(doses) <= 5000
    assert all(np.isfinite(m.data).all() and m.shape == (96, 128) for m, _ in drawn)
    assert all((np.abs(truth.spots.px) <= (48, 64)).all() for _, truth in drawn)


def test_stated_pixel_size_of_random_micrographs_is_off_by_their_error():
    empty = replace(SMALL, empty_share=1.0)
    drawn = [labelled_micrograph(2, i, CRYSTALS, empty)[1].imaging.sampling for i in range(40)]
    errors = np.array([s.scale_error for s in drawn])
    assert 0.009 < errors.std() < 0.022
    true = [np.sqrt(s.pixel_area_a2) for s in drawn]
    assert 0.19 < min(true) < max(true) < 0.51


def test_impossible_wishes_are_refused():
    with pytest.raises(DataError, match="at least one crystal"):
        labelled_micrograph(0, 0, [])
    with pytest.raises(DataError, match="thickness_a must be a range"):
        Variety(thickness_a=(50.0, 20.0))
    with pytest.raises(DataError, match="thickness_a of a grain"):
        Grain(LIF, (0, 0, 1), Region((0, 0), np.ones((2, 2), dtype=bool)), thickness_a=0.0)
