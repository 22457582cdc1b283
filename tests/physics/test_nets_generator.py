"""The training generator in torch agrees with the factory in numpy."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from friedel.core.beam import Beam  # noqa: E402
from friedel.core.grids import ReciprocalGrid  # noqa: E402
from friedel.crystal import load_phases  # noqa: E402
from friedel.nets.training.generator import (  # noqa: E402
    CRYSTAL,
    NOISE,
    VACUUM,
    PatternRanges,
    generate,
    network_input,
    stabilise,
    targets,
)
from friedel.nets.training.kinematics import build_bank, diffract_batch, orientations  # noqa: E402
from friedel.nets.training.noise import (  # noqa: E402
    Plane,
    count_batch,
    draw_noise_batch,
    expect_batch,
    noise_share_seen,
    pack,
    repair_batch,
)
from friedel.nets.training.render import invert_about, render_spots, spread_disks  # noqa: E402
from friedel.patterns.repair import estimate_gain, remove_spikes  # noqa: E402
from friedel.simulate.patterns.detector import Detector, electrons_of  # noqa: E402
from friedel.simulate.patterns.diffraction import SpotPattern, diffract, orient  # noqa: E402
from friedel.simulate.patterns.noise import Noise, NoiseRanges, count, distort, draw_noise, expect  # noqa: E402
from friedel.simulate.patterns.render import SpotShape, render  # noqa: E402

SHAPE = (96, 112)


@pytest.fixture(scope="module")
def bank():
    return build_bank(load_phases(["au", "tio2-rutile", "lifepo4"]).crystals, max_zones=6)


@pytest.mark.parametrize(
    ("name", "uvw", "energy_kev", "thickness_a", "tilt"),
    [
        ("au", (0, 1, 1), 200.0, 150.0, (0.0, 0.0)),
        ("tio2-rutile", (1, 1, 1), 80.0, 400.0, (9.0, -4.0)),
        ("lifepo4", (0, 1, 0), 300.0, 620.0, (-3.0, 14.0)),
    ],
)
def test_shares_of_the_beam_are_those_of_the_factory(name, uvw, energy_kev, thickness_a, tilt):
    crystal = load_phases([name]).crystals[0]
    oriented = orient(crystal, uvw)
    wanted = diffract(oriented, Beam(energy_kev), thickness_a=thickness_a, rotation_rad=0.4, tilt_mrad=tilt)
    alone = build_bank([crystal], max_reflections=6000)
    g = alone.g_inv_a[0].numpy()
    frame = np.linalg.lstsq(oriented.reflections.g_inv_a, oriented.g_inv_a, rcond=None)[0].T
    turned = np.array([[np.cos(0.4), np.sin(0.4), 0], [-np.sin(0.4), np.cos(0.4), 0], [0, 0, 1]]) @ _tilt(tilt) @ frame
    k, share, direct = diffract_batch(
        torch.as_tensor(g @ turned.T)[None], alone.strength, torch.tensor([energy_kev], dtype=torch.float64),
        torch.tensor([thickness_a], dtype=torch.float64), 40,
    )  # fmt: skip
    brightest = np.argsort(-wanted.share, kind="stable")[:40]
    assert float(direct[0]) == pytest.approx(wanted.direct, rel=1e-5)
    np.testing.assert_allclose(share[0].numpy(), wanted.share[brightest], rtol=1e-5, atol=1e-12)
    found = {tuple(np.round(p, 6)) for p in k[0, :20].numpy() + 0.0}
    assert found == {tuple(np.round(p, 6)) for p in wanted.k_inv_a[brightest[:20]] + 0.0}


def _tilt(tilt_mrad):
    a, b = (1e-3 * t for t in tilt_mrad)
    about_kx = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    return np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]) @ about_kx


def test_orientations_lay_the_wanted_direction_along_the_beam_and_keep_hands():
    rng = np.random.default_rng(1)
    wanted = rng.standard_normal((20, 3))
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    turn, zero = rng.uniform(0, 6, 20), np.zeros(20)
    straight = orientations(wanted, turn, zero, turn)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", straight, wanted), np.tile([0, 0, 1.0], (20, 1)), atol=1e-12)
    tilted = orientations(wanted, turn, zero + 25.0, turn)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", tilted, wanted)[:, 2], np.cos(0.025), atol=1e-12)
    # (ky, kx, beam) as zone_net has them: kx x ky along the zone axis, hence ky, kx, beam is left-handed.
    np.testing.assert_allclose(np.linalg.det(tilted), -1.0 * np.ones(20), atol=1e-12)


def _some_spots():
    rng = np.random.default_rng(3)
    k = rng.uniform(-0.45, 0.45, (12, 2))
    share = rng.uniform(0.001, 0.05, 12)
    return SpotPattern(np.zeros((12, 3), dtype=np.int64), k, share, 1.0 - float(share.sum()))


def _drawn(spots, noise, grid, sigma_px):
    """The same pattern twice: expected electrons of the factory and of the twin."""
    true = distort(grid, noise)
    factory = expect(render(spots, true, SHAPE, SpotShape(blur_px=sigma_px)), noise, true)
    settings = pack([noise])
    plane = Plane.of(SHAPE, torch.tensor([grid.step_inv_a[0]]), torch.tensor([grid.centre_px]), settings)
    px = torch.cat([plane.centre_px[:, None], plane.px_of(torch.tensor(spots.k_inv_a[None], dtype=torch.float32))], 1)
    light = torch.tensor([[spots.direct, *spots.share]], dtype=torch.float32)
    twin = expect_batch(render_spots(px, light, torch.tensor([sigma_px]), SHAPE), settings, plane)[0]
    return factory, twin.numpy()


@pytest.mark.parametrize("seed", range(12))
def test_expected_electrons_are_those_of_the_factory_whatever_the_noise(seed):
    noise = draw_noise(np.random.default_rng(seed))
    grid = ReciprocalGrid((0.011, 0.011), (46.3, 55.9))
    factory, twin = _drawn(_some_spots(), noise, grid, 0.9)
    np.testing.assert_allclose(twin, factory, atol=2e-4 * factory.max(), rtol=1e-3)
    assert twin.sum() == pytest.approx(factory.sum(), rel=2e-5)


@pytest.mark.parametrize("is_counting", [True, False])
def test_counts_have_the_mean_and_the_variance_of_the_factory(is_counting):
    camera = Detector(psf_px=0.8, is_counting=is_counting, gain=7.0, offset=12.0, read_noise_electrons=0.2)
    noise = Noise(salt_share=0.01, salt_electrons=5.0, pepper_share=0.01, detector=camera)
    level, n = 1.7, 48
    expected = np.full((n, 40, 40), level)
    rng = np.random.default_rng(0)
    factory = np.stack([electrons_of(count(frame, noise, rng), camera) for frame in expected])
    torch_rng = torch.Generator().manual_seed(0)
    units = count_batch(torch.tensor(expected, dtype=torch.float32), pack([noise] * n), torch_rng)
    twin = (units.numpy().astype(float) - camera.offset) / camera.gain
    error = np.sqrt(factory.var() / factory.size)
    assert abs(twin.mean() - factory.mean()) < 5 * error
    assert twin.var() == pytest.approx(factory.var(), rel=0.06)
    assert (twin > 9.0).mean() == pytest.approx((factory > 9.0).mean(), rel=0.3)
    assert np.quantile(twin, 0.9) == pytest.approx(np.quantile(factory, 0.9), abs=0.15)


def test_spikes_are_repaired_as_before_a_network_is_used():
    rng = np.random.default_rng(5)
    counts = rng.poisson(1.5, (3, 40, 52)).astype(np.float32)
    counts[rng.integers(3, size=30), rng.integers(40, size=30), rng.integers(52, size=30)] = 60.0
    counts[0, 0, 0] = 90.0
    np.testing.assert_allclose(repair_batch(torch.tensor(counts)).numpy(), remove_spikes(counts, gain=1.0))


@pytest.mark.parametrize("psf_px", [0.3, 0.45, 0.6])
def test_the_gain_of_a_smooth_camera_is_underestimated_as_foreseen(psf_px):
    camera = Detector(psf_px=psf_px, is_counting=False, gain=100.0)
    noise = Noise(detector=camera)
    rng = np.random.default_rng(0)
    light = np.stack([count(np.full((96, 96), 30.0), noise, rng) for _ in range(6)]).astype(float)
    seen = float(noise_share_seen(pack([noise]), (96, 96))[0])
    assert estimate_gain(light) / camera.gain == pytest.approx(seen, rel=0.12)


def test_drawn_settings_keep_to_the_ranges_and_to_their_chance():
    ranges = NoiseRanges()
    drawn = draw_noise_batch(ranges, 4000, np.random.default_rng(0))
    halo = drawn["halo_share"].numpy()
    there = halo > 0
    assert there.mean() == pytest.approx(ranges.halo_share.chance, abs=0.03)
    assert halo[there].min() >= ranges.halo_share.low
    assert halo[there].max() <= ranges.halo_share.high
    dose = np.log(drawn["dose_electrons"].numpy())
    assert dose.mean() == pytest.approx(0.5 * np.log(30.0 * 100_000.0), abs=0.15)
    assert drawn["is_counting"].mean() == pytest.approx(ranges.detector.counting_chance, abs=0.03)


def test_disks_keep_their_light_and_are_flat():
    image = torch.zeros((1, 96, 96))
    image[0, 48, 40] = 1000.0
    disk = spread_disks(image, torch.tensor([8.0]), torch.zeros(1), torch.zeros(1), torch.zeros(1))[0]
    smooth = render_spots(torch.tensor([[[48.0, 40.0]]]), torch.tensor([[1000.0]]), torch.tensor([1.0]), (96, 96))
    soft = spread_disks(smooth, torch.tensor([8.0]), torch.zeros(1), torch.zeros(1), torch.zeros(1))[0]
    assert float(soft.sum()) == pytest.approx(1000.0, rel=1e-3)
    assert float(soft[48, 40]) == pytest.approx(1000.0 / (np.pi * 64), rel=0.02)
    assert float(soft[48, 48]) == pytest.approx(0.5 * 1000.0 / (np.pi * 64), rel=0.15)
    assert float(disk[48, 60]) < 0.05 * float(disk[48, 40])


def test_inversion_lays_friedel_partners_on_each_other():
    image = torch.zeros((2, 20, 31))
    image[0, 4, 7] = image[1, 4, 7] = 1.0
    turned = invert_about(image, torch.tensor([[9.5, 15.0], [0.0, 0.0]]))
    assert turned[0].nonzero().tolist() == [[15, 23]]
    assert turned[1].sum() == 0


def test_a_batch_depends_on_its_seed_alone(bank):
    ranges = PatternRanges(shape=(64, 64))
    first, again, other = (generate(bank, ranges, 6, seed) for seed in ((1, 5), (1, 5), (1, 6)))
    assert torch.equal(first.counts, again.counts)
    assert not torch.equal(first.counts, other.counts)


def test_patterns_without_crystals_ask_for_no_spots(bank):
    ranges = PatternRanges(shape=(64, 64), negatives=(0.3, 0.4, 0.3))
    batch = generate(bank, ranges, 30, (0, 1))
    assert not (batch.kind == CRYSTAL).any()
    _, heat, weight = targets(batch)
    assert float(heat.max()) == 0.0
    is_vacuum = torch.as_tensor(batch.kind == VACUUM)
    no_beam = torch.as_tensor(batch.kind == NOISE)
    assert is_vacuum.any()
    assert no_beam.any()
    # Without a beam the light is even; with one, the brightest pixel stands out.
    peak = batch.expected.amax(dim=(1, 2)) / batch.expected.mean(dim=(1, 2))
    assert float(peak[no_beam].max()) < 3.0
    assert float(weight.min()) == 0.0


def test_spots_to_be_found_lie_where_the_light_is(bank):
    quiet = NoiseRanges(**{name: _nothing(getattr(NoiseRanges(), name)) for name in ("halo_share", "amorphous_share",
                           "stop_radius_px", "salt_share", "pepper_share", "ellipticity")})  # fmt: skip
    ranges = PatternRanges(shape=(96, 96), negatives=(0.0, 0.0, 0.0), noise=quiet)
    batch = generate(bank, ranges, 8, (0, 2))
    z, heat, _ = targets(batch)
    assert z.shape == heat.shape == (8, 96, 96)
    checked = 0
    for i in range(8):
        wanted = batch.spot_px[i][batch.spot_kind[i] == 2].round().long()
        for y, x in wanted.tolist():
            assert float(heat[i, y, x]) > 0.7
            if 3 <= y < 93 and 3 <= x < 93 and float(batch.disk_radius_px[i]) == 0:
                around = batch.expected[i, y - 3 : y + 4, x - 3 : x + 4]
                assert float(batch.expected[i, y, x]) >= float(around.median())
                checked += 1
    assert checked > 10


def _nothing(limits):
    from dataclasses import replace

    return replace(limits, chance=0.0)


def test_the_network_sees_unit_variance_and_the_inverted_pattern():
    counts = torch.poisson(torch.full((4, 64, 64), 25.0), generator=torch.Generator().manual_seed(0))
    assert float(stabilise(counts).var()) == pytest.approx(1.0, abs=0.05)
    assert float(stabilise(torch.zeros(1))) == 0.0
    seen = network_input(counts, torch.full((4, 2), 31.5))
    assert torch.equal(seen[:, 1], seen[:, 0].flip(1, 2))
