"""The physics of simulated micrographs: specimen, lens and camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import fft, optimize

from friedel.core.beam import Beam
from friedel.crystal import load_phase, scattering_factor_a, unit_cell_atoms, zone_net
from friedel.simulate.micrographs.camera import Exposure, expose
from friedel.simulate.micrographs.grains import Grain, Region, beams_of, star_region
from friedel.simulate.micrographs.imaging import Imaging, image_spectrum
from friedel.simulate.micrographs.micrograph import simulate_micrograph
from friedel.simulate.micrographs.optics import Optics, displacement_a
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.specimen import Specimen, film_spectrum, phase_shift

LIF = load_phase("lif")
STILL = Optics(focal_spread_a=0.0, semi_convergence_mrad=0.0)


def everywhere(shape):
    return Region((0, 0), np.ones(shape, dtype=bool))


def grain(shape, **changes):
    return Grain(LIF, (0, 0, 1), everywhere(shape), thickness_a=20.0, **changes)


def imaging(sampling, optics=STILL, exposure=None, *, is_strong=False):
    return Imaging(sampling, optics, exposure or Exposure(), is_strong)


def picture(specimen, setting):
    return fft.irfft2(image_spectrum(specimen, setting, None), s=setting.sampling.shape)


def harmonic(image, q):
    """Mean of image exp(-2 pi i q r) under a Hann window that has been normalised, q in cycles per pixel."""
    y, x = (
        np.hanning(n + 2)[1:-1] * np.exp(-2j * np.pi * f * np.arange(n)) for n, f in zip(image.shape, q, strict=True)
    )
    return y @ (image - image.mean()) @ x / np.prod([np.hanning(n + 2).sum() for n in image.shape])


def fringe(sampling, g, **changes):
    """Contrast of the fringes of one beam of LiF [001], turned by 20 degrees, under a changed lens or camera."""
    specimen = Specimen((grain(sampling.shape, rotation_deg=20.0),), 0.0)
    beams = beams_of(specimen.grains[0], Beam(300.0))
    k = beams.k_inv_a[np.flatnonzero((beams.hkl == g).all(axis=1))[0]]
    spectrum = image_spectrum(specimen, imaging(sampling, replace(STILL, **changes)), None)
    return k, abs(harmonic(fft.irfft2(spectrum, s=sampling.shape), sampling.cycles_per_px(k)))


def film_power(optics, sampling):
    """Power of the image of a thin film, averaged over many random films, at the frequencies of ``rfft2``."""
    rng, total = np.random.default_rng(5), 0.0
    for _ in range(12):
        film = film_spectrum(20.0, sampling, Beam(optics.energy_kev), rng)
        total = total + np.abs(image_spectrum(Specimen((), 20.0), imaging(sampling, optics), film)) ** 2
    return total


@pytest.mark.parametrize(("cs_mm", "half_turns"), [(0.0, (-1, -2, -3)), (1.2, (1, 2, 3))])
def test_rings_of_an_amorphous_film_have_their_zeros_where_the_formula_puts_them(cs_mm, half_turns):
    sampling, optics = Sampling((512, 512), (0.4, 0.4)), replace(STILL, energy_kev=200.0, defocus_a=900.0, cs_mm=cs_mm)
    power, (ky, kx) = film_power(optics, sampling), sampling.frequencies(half=True)
    k, wavelength = np.hypot(ky, kx), Beam(200.0).wavelength_a
    for n in half_turns:
        # Cs lambda^3 k^4 / 2 - z lambda k^2 = n: without Cs for negative n, far out for positive n.
        squares = np.roots([0.5e7 * cs_mm * wavelength**3, -900.0 * wavelength, -n])
        zero = np.sqrt(max(squares))
        slope = abs(2e7 * cs_mm * wavelength**3 * zero**3 - 1800.0 * wavelength * zero)
        ring, beside = np.abs(k - zero) < 0.001, np.abs(k - zero - 0.5 / slope) < 0.001
        assert power[ring].mean() < 0.06 * power[beside].mean()


def test_astigmatism_changes_the_defocus_along_its_direction():
    sampling = Sampling((300, 240), (0.4, 0.4))
    optics = replace(STILL, defocus_a=1000.0, cs_mm=0.0, astigmatism_a=300.0, astigmatism_deg=30.0)
    power, (ky, kx) = film_power(optics, sampling), sampling.frequencies(half=True)
    k, azimuth = np.hypot(ky, kx), np.rad2deg(np.arctan2(ky, kx))
    for direction, defocus in ((30.0, 1300.0), (-60.0, 700.0)):
        sector = np.abs(azimuth - direction) < 4
        zero = 1 / np.sqrt(Beam(300.0).wavelength_a * defocus)
        at, beside = sector & (np.abs(k - zero) < 0.006), sector & (np.abs(k - 0.7 * zero) < 0.006)
        assert power[at].mean() < 0.05 * power[beside].mean()


def test_film_has_the_variance_of_atoms_at_random_places():
    # Campbell's theorem: (gamma lambda)^2 times atoms per area times the integral of f^2 over all frequencies.
    sampling, beam = Sampling((512, 400), (0.2, 0.25)), Beam(300.0)
    field = fft.irfft2(film_spectrum(50.0, sampling, beam, np.random.default_rng(1)), s=sampling.shape)
    k = np.linspace(0, 2.2, 4000)
    integral = np.trapezoid(scattering_factor_a("C", k / 2) ** 2 * 2 * np.pi * k, k)
    gamma = 1 + 300.0 / 510.999
    assert field.var() == pytest.approx((gamma * beam.wavelength_a) ** 2 * 0.1 * 50.0 * integral, rel=0.05)


def test_coupling_is_pi_over_the_tabulated_extinction_distance():
    # 111 at 100 kV: Williams and Carter, Transmission Electron Microscopy, 2nd ed., table 13.2.
    for name, distance_a in (("al", 563.0), ("cu", 286.0), ("au", 183.0), ("si", 602.0)):
        beams = beams_of(Grain(load_phase(name), (1, -1, 0), everywhere((16, 16))), Beam(100.0))
        coupling = abs(beams.coupling_inv_a[(beams.hkl == (1, 1, 1)).all(axis=1)][0])
        assert np.pi / coupling == pytest.approx(distance_a, rel=0.05)


def test_atoms_of_a_polar_crystal_sit_where_they_are():
    # Ga and P columns of GaP [110] swap places if the sign of a phase is wrong.
    gap, origin, sampling = load_phase("gap"), np.array([7.3, 4.1]), Sampling((400, 300), (0.1, 0.12))
    net, atoms = zone_net(gap, (1, 1, 0), 2.0), unit_cell_atoms(gap)
    frame = np.linalg.lstsq(gap.g_inv_a(net.hkl), net.k_inv_a, rcond=None)[0].T
    angle = np.deg2rad(25.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    laid = Grain(gap, (1, 1, 0), everywhere(sampling.shape), rotation_deg=25.0, origin_a=tuple(origin), thickness_a=1.0)
    beams = beams_of(laid, Beam(1000.0), 3.0)
    shift = origin + (atoms.fract @ gap.direct_basis_a @ frame.T) @ turn.T
    level = (np.exp(2j * np.pi * shift @ beams.k_inv_a.T) @ beams.amplitudes(1.0)).real
    is_ga = np.array(atoms.elements) == "Ga"
    drawn = phase_shift(Specimen((laid,), 0.0), sampling, Beam(1000.0), 3.0, None).real
    assert level[is_ga].min() > 1.4 * level[~is_ga].max()
    assert level[~is_ga].min() > 0
    assert level.max() == pytest.approx(drawn.max(), rel=0.02)


def test_mistilt_moves_the_light_to_the_beam_on_the_laue_circle():
    beam = Beam(300.0)
    g, t = 2 / LIF.cell[0], 1 / (beam.wavelength_a * (2 / LIF.cell[0]) ** 2)
    tilted = replace(grain((16, 16)), tilt_mrad=(0.0, 1e3 * 0.5 * beam.wavelength_a * g), thickness_a=t)
    beams = beams_of(tilted, beam)
    along_kx = np.flatnonzero((np.abs(beams.k_inv_a[:, 0]) < 1e-9) & (np.abs(np.abs(beams.k_inv_a[:, 1]) - g) < 1e-9))
    plus, minus = sorted(along_kx, key=lambda i: -beams.k_inv_a[i, 1])
    # On the circle nothing is lost; its mate has s t = 1, where the wave has come round to zero.
    amplitude = np.abs(beams.amplitudes(t))
    assert amplitude[plus] == pytest.approx(abs(beams.coupling_inv_a[plus]) * t)
    assert amplitude[minus] < 1e-9


def test_wedge_gives_each_place_the_wave_of_its_thickness():
    sampling = Sampling((90, 120), (0.3, 0.25))
    wedge = replace(grain((90, 120)), tilt_mrad=(9.0, -4.0), thickness_a=150.0, wedge=(2.0, -3.0))
    drawn = phase_shift(Specimen((wedge,), 0.0), sampling, Beam(300.0), 1.0, None)
    beams = beams_of(wedge, Beam(300.0), 1.0)
    for y, x in ((0, 0), (40, 100), (89, 7)):
        r = np.array([y * 0.3, x * 0.25])
        t = 150.0 + 2.0 * (r[0] - 44.5 * 0.3) - 3.0 * (r[1] - 59.5 * 0.25)
        expected = (np.exp(2j * np.pi * beams.k_inv_a @ r) * beams.amplitudes(t)).sum()
        assert drawn[y, x] == pytest.approx(expected, abs=0.01 * float(np.abs(drawn).max()))


# abTEM 1.0.11, multislice (slices of a / 4, 64 x 64 px per cell, scattering factors of Peng et al.), LiF a = 4.028 Å,
# [001], one cell thick, no thermal motion, 300 kV, Cs 0.01 mm, focal spread 30 Å times sqrt(2) in abTEM's convention,
# underfocus counted from the exit plane: contrast of 200, 220 and 400 over the mean.
ABTEM_ONE_CELL = {
    50.0: (0.01526, 0.01130, 0.00196), 100.0: (0.02399, 0.00453, 0.00245), 200.0: (0.00406, 0.00612, 0.00247),
}  # fmt: skip
# The same with five cells, 20.1 Å: multislice scatters between beams, the phase grating only within one plane.
ABTEM_FIVE_CELLS = {50.0: (0.07744, 0.05154), 100.0: (0.12275, 0.01725), 200.0: (0.01985, 0.03773)}


@pytest.mark.parametrize(("cells", "facts", "tolerance"), [(1, ABTEM_ONE_CELL, 0.02), (5, ABTEM_FIVE_CELLS, 0.2)])
def test_fringes_of_a_thin_crystal_are_those_of_a_multislice_program(cells, facts, tolerance):
    still_atoms = replace(
        LIF, cell=(4.028,) * 3 + (90.0,) * 3, sites=tuple(replace(s, b_iso_a2=0.0) for s in LIF.sites)
    )
    sampling = Sampling((64, 64), (4.028 / 16,) * 2)
    laid = Grain(still_atoms, (0, 0, 1), everywhere((64, 64)), thickness_a=4.028 * cells)
    for exit_defocus_a, contrast in facts.items():
        optics = Optics(300.0, exit_defocus_a - laid.thickness_a / 2, 0.01, semi_convergence_mrad=0.0)
        spectrum = fft.fft2(picture(Specimen((laid,), 0.0), imaging(sampling, optics, is_strong=True)))
        beams = beams_of(laid, Beam(300.0))
        for hkl, value in zip(((2, 0, 0), (2, 2, 0), (4, 0, 0)), contrast, strict=False):
            q = sampling.cycles_per_px(beams.k_inv_a[(beams.hkl == hkl).all(axis=1)][0])
            y, x = np.rint(q * 64).astype(int)
            assert abs(spectrum[y, x] / spectrum[0, 0]) == pytest.approx(value, rel=tolerance)


def test_weak_and_strong_imaging_agree_for_a_weak_object():
    sampling = Sampling((128, 160), (0.3, 0.3))
    specimen = Specimen((replace(grain((128, 160)), thickness_a=0.4, tilt_mrad=(5.0, 3.0)),), 0.0)
    # Off the border, where the fringes of the two grids break off at different places.
    weak, strong = (
        picture(specimen, imaging(sampling, Optics(), is_strong=s))[20:-20, 20:-20] - 1 for s in (False, True)
    )
    assert np.abs(strong - weak).max() < 0.02 * np.abs(weak).max()


def test_strong_object_lights_up_a_forbidden_reflection():
    # Si 200 is extinct, and 111 + 1-1-1 lies there.
    sampling = Sampling((128, 128), (0.3, 0.3))
    laid = Grain(load_phase("si"), (0, 1, -1), everywhere((128, 128)), thickness_a=60.0)
    specimen, k = Specimen((laid,), 0.0), beams_of(laid, Beam(300.0))
    q = sampling.cycles_per_px(k.k_inv_a[(k.hkl == (2, 0, 0)).all(axis=1)][0])
    weak, strong = (
        abs(harmonic(picture(specimen, imaging(sampling, Optics(), is_strong=s)), q)) for s in (False, True)
    )
    assert weak < 1e-4
    assert strong > 0.01


def test_fringe_spacing_is_recovered_on_a_picture_of_odd_sides():
    sampling = Sampling((301, 420), (0.31, 0.23))
    specimen = Specimen((grain(sampling.shape, rotation_deg=20.0),), 0.0)
    image = picture(specimen, imaging(sampling, Optics()))
    beams = beams_of(specimen.grains[0], Beam(300.0))
    start = sampling.cycles_per_px(beams.k_inv_a[(beams.hkl == (2, 2, 0)).all(axis=1)][0])
    found = optimize.minimize(lambda q: -abs(harmonic(image, q)), start + 1e-4, method="Nelder-Mead", tol=1e-9).x
    assert 1 / np.hypot(*(found / sampling.step_a)) == pytest.approx(LIF.cell[0] / np.sqrt(8), rel=5e-4)


def test_wrong_and_anisotropic_pixel_size_moves_the_spots_as_it_should():
    # 3 % longer pixels than stated, and 2 % more along 90 degrees (y) than along x.
    sampling = Sampling((300, 400), (0.3, 0.3), scale_error=0.03, anisotropy=0.02, anisotropy_deg=90.0)
    np.testing.assert_allclose(
        sampling.stated(np.array([[0.5, 0.0], [0.0, 0.5]])), [[0.515 * 1.01, 0], [0, 0.515 * 0.99]], atol=1e-12
    )
    slanted = replace(sampling, anisotropy_deg=45.0)
    along, across = slanted.stated(np.array([[0.5, 0.5], [0.5, -0.5]]))
    np.testing.assert_allclose(along, 0.515 * 1.01 * np.array([1, 1]))
    np.testing.assert_allclose(across, 0.515 * 0.99 * np.array([1, -1]))
    image = picture(Specimen((grain((300, 400)),), 0.0), imaging(slanted, Optics()))
    beams = beams_of(grain((300, 400)), Beam(300.0))
    q = slanted.cycles_per_px(beams.k_inv_a[(beams.hkl == (2, 0, 0)).all(axis=1)][0])
    found = optimize.minimize(lambda f: -abs(harmonic(image, f)), q + 2e-4, method="Nelder-Mead", tol=1e-9).x
    np.testing.assert_allclose(found, q, atol=2e-6)


def test_frequencies_of_the_transform_are_those_of_the_true_grid():
    sampling = Sampling((40, 50), (0.3, 0.2), anisotropy=0.1, anisotropy_deg=20.0)
    ky, kx = sampling.frequencies(half=True)
    q = sampling.cycles_per_px(np.array([ky[7, 11], kx[7, 11]]))
    np.testing.assert_allclose(q, [7 / 40, 11 / 50])


def test_partial_coherence_damps_fringes_as_its_envelopes_say():
    sampling, wavelength = Sampling((400, 300), (0.25, 0.25)), Beam(300.0).wavelength_a
    k, before = fringe(sampling, (2, 2, 0))
    _, spread = fringe(sampling, (2, 2, 0), focal_spread_a=40.0)
    _, cone = fringe(sampling, (2, 2, 0), semi_convergence_mrad=1.5)
    g = np.hypot(*k)
    assert spread / before == pytest.approx(np.exp(-0.5 * (np.pi * wavelength * 40.0 * g**2) ** 2), rel=1e-3)
    shift = 5e4 * wavelength**3 * g**3 - 80.0 * wavelength * g
    assert cone / before == pytest.approx(np.exp(-2 * (np.pi * 1.5e-3 / wavelength * shift) ** 2), rel=1e-3)


def test_fringes_of_one_beam_leave_their_grain_by_the_delocalisation():
    # With 200 on the Laue circle and its mate out of sight there is one copy of the fringes, not two.
    sampling, optics = Sampling((500, 400), (0.3, 0.25)), replace(STILL, defocus_a=900.0, cs_mm=0.3)
    wavelength, g = Beam(300.0).wavelength_a, 2 / LIF.cell[0]
    disk = star_region(sampling.shape, (240.0, 210.0), np.full(8, 60.0))
    laid = Grain(LIF, (0, 0, 1), disk, rotation_deg=33.0, thickness_a=1 / (wavelength * g**2))
    beams = beams_of(laid, Beam(300.0))
    k = beams.k_inv_a[(beams.hkl == (2, 0, 0)).all(axis=1)][0]
    laid = replace(laid, tilt_mrad=tuple(1e3 * 0.5 * wavelength * k))
    spectrum = fft.fft2(picture(Specimen((laid,), 0.0), imaging(sampling, optics)))
    ky, kx = sampling.frequencies(half=False)
    side = np.abs(fft.ifft2(spectrum * (np.hypot(ky - k[0], kx - k[1]) < 0.1))) ** 2
    centre = [side.sum(axis=1 - i) @ np.arange(side.shape[i]) / side.sum() for i in (0, 1)]
    moved_a = (np.array(centre) - disk.middle_px()) * sampling.step_a
    expected = (3e6 * wavelength**3 * g**3 - 900.0 * wavelength * g) * k / g
    np.testing.assert_allclose(moved_a, expected, atol=0.3)
    np.testing.assert_allclose(displacement_a(k[0], k[1], optics), expected, rtol=1e-9)


@pytest.mark.parametrize("is_strong", [False, True])
def test_resampling_of_strong_objects_keeps_places_and_heights(is_strong):
    # Pixels of 0.4 Å are imaged on a finer grid, pixels of 0.2 Å are not; every second of these is one of those.
    specimen = Specimen((replace(grain((160, 192)), thickness_a=30.0, rotation_deg=10.0),), 0.0)
    coarse_one = Specimen((replace(specimen.grains[0], region=everywhere((80, 96))),), 0.0)
    fine = picture(
        specimen, imaging(Sampling((160, 192), (0.2, 0.2)), Optics(focal_spread_a=80.0), is_strong=is_strong)
    )
    coarse = picture(
        coarse_one, imaging(Sampling((80, 96), (0.4, 0.4)), Optics(focal_spread_a=80.0), is_strong=is_strong)
    )
    inner = (slice(20, 60), slice(20, 76))
    assert np.abs(fine[::2, ::2][inner] - coarse[inner]).max() < 0.05 * np.ptp(fine)


def test_counts_are_poisson_at_the_stated_dose_and_true_area():
    sampling = Sampling((300, 200), (0.3, 0.4), scale_error=0.02)
    micrograph, _ = simulate_micrograph(
        Specimen((), 0.0, ("lif",)), imaging(sampling, exposure=Exposure(900.0)), np.random.default_rng(1)
    )
    expected = 900.0 * 0.12 * 1.02**2
    assert micrograph.data.dtype == np.uint16
    assert micrograph.data.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / 60000))
    assert micrograph.data.var() == pytest.approx(expected, rel=0.03)


def test_camera_that_does_not_count_blurs_its_noise_and_adds_that_of_reading():
    sampling = Sampling((256, 200), (1.0, 1.0))
    exposure = Exposure(100.0, mtf_nyquist=0.2, is_counting=False, read_noise_e=3.0)
    flat = fft.rfft2(np.ones(sampling.shape))
    counts = expose(flat, sampling, exposure, np.random.default_rng(2))
    u2 = 4 * (fft.fftfreq(256)[:, None] ** 2 + fft.fftfreq(200) ** 2)
    assert counts.mean() == pytest.approx(100.0, abs=0.3)
    assert counts.var() == pytest.approx(100.0 * np.mean(1 / (1 + 4 * u2) ** 2) + 9.0, rel=0.03)


def test_camera_and_drift_take_contrast_as_their_transfer_functions_say():
    sampling = Sampling((200, 240), (0.3, 0.3))
    y, x = np.indices(sampling.shape)
    wave = 1 + 0.5 * np.cos(2 * np.pi * (0.2 * y + 0.25 * x))
    drift = Exposure(1e5, drift_a=(0.3, 0.6))
    for exposure, expected in (
        (Exposure(1e5, mtf_nyquist=0.25), 1 / (1 + 3 * 4 * (0.2**2 + 0.25**2))),
        (drift, np.sinc((0.2 * 0.3 + 0.25 * 0.6) / 0.3)),
        (replace(drift, drift_a=(-0.9, 0.0)), np.sinc(0.6)),
    ):
        counts = expose(fft.rfft2(wave), sampling, exposure, np.random.default_rng(0)) / (1e5 * 0.09)
        assert 2 * abs(harmonic(counts, (0.2, 0.25))) == pytest.approx(0.5 * abs(expected), rel=0.01)
