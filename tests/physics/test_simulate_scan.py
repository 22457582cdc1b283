"""The simulated scan counts electrons as a camera does, and its truth tells where the rings are."""

from __future__ import annotations

import numpy as np
import pytest

from friedel.core.arrays import FloatArray
from friedel.core.images import PatternScan
from friedel.core.phase_map import PhaseMap
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

OPTIONS = ScanOptions(scan_shape=(20, 26), pattern_shape=(96, 100), step_inv_a=0.018, dose_electrons=2000.0)


@pytest.fixture(scope="module")
def simulated() -> tuple[PatternScan, PhaseMap]:
    return simulate_nmc811_scan(3, OPTIONS)


def totals(scan: PatternScan) -> FloatArray:
    return np.asarray(scan.data, dtype=np.float64).sum(axis=(2, 3))


def ring_share(scan: PatternScan, radius_inv_a: float) -> FloatArray:
    """Share of each pattern's electrons within 0.03 1/Å of a ring, above what lies just inside and outside of it."""
    offset = np.abs(scan.grid.radius_inv_a(scan.pattern_shape) - radius_inv_a)
    inside, beside = offset <= 0.045, (offset > 0.06) & (offset <= 0.09)
    data = np.asarray(scan.data, dtype=np.float64)
    light = data[..., inside].sum(axis=-1) - data[..., beside].mean(axis=-1) * inside.sum()
    return np.asarray(light / totals(scan))


def test_same_seed_gives_the_same_bytes() -> None:
    small = ScanOptions(scan_shape=(4, 5), pattern_shape=(48, 48), step_inv_a=0.04)
    first, again, other = (np.asarray(simulate_nmc811_scan(seed, small)[0].data) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_counts_of_vacuum_are_poisson_with_the_stated_dose(simulated: tuple[PatternScan, PhaseMap]) -> None:
    scan, _ = simulated
    far = scan.grid.radius_inv_a(scan.pattern_shape) > 0.2
    vacuum = np.asarray(scan.data)[..., far].sum(axis=-1) == 0
    counts = totals(scan)[vacuum]
    n = len(counts)
    assert n > 40
    assert counts.mean() == pytest.approx(2000.0, abs=4.0 * np.sqrt(2000.0 / n))
    assert counts.var(ddof=1) == pytest.approx(2000.0, rel=4.0 * np.sqrt(2.0 / n))


def test_matter_neither_adds_nor_destroys_electrons(simulated: tuple[PatternScan, PhaseMap]) -> None:
    # Only the halo's and the outermost spots' light that misses the detector may lack.
    scan, _ = simulated
    assert totals(scan).max() < 2000.0 + 6.0 * np.sqrt(2000.0)
    assert totals(scan).min() > 0.9 * 2000.0 - 4.0 * np.sqrt(2000.0)
    assert totals(scan).mean() > 0.93 * 2000.0


def test_truth_is_where_the_rings_are(simulated: tuple[PatternScan, PhaseMap]) -> None:
    scan, truth = simulated
    o3, o1 = (truth.presence[..., i] > 0.5 for i in (0, 1))
    first, second = ring_share(scan, 0.4095), ring_share(scan, 0.7028)
    assert truth.phases == ("nmc811-o3", "nmc811-o1")
    assert (o3 & o1).any()
    assert np.median(first[o1]) > 0.05
    assert abs(np.median(first[o3 & ~o1])) < 0.01
    assert np.median(second[o3 | o1]) > 0.03
    assert abs(np.median(first[~o3 & ~o1])) < 0.01
    assert abs(np.median(second[~o3 & ~o1])) < 0.01


def test_beam_drifts_as_told(simulated: tuple[PatternScan, PhaseMap]) -> None:
    scan, _ = simulated
    near = scan.grid.radius_inv_a(scan.pattern_shape) < 0.12
    rows, columns = np.indices(scan.pattern_shape)
    data = np.where(near, np.asarray(scan.data, dtype=np.float64), 0.0)
    y, x = ((data * axis).sum(axis=(2, 3)) / data.sum(axis=(2, 3)) for axis in (rows, columns))
    slope_y = np.polyfit(np.arange(20), y.mean(axis=1), 1)[0] * 20
    slope_x = np.polyfit(np.arange(26), x.mean(axis=0), 1)[0] * 26
    assert slope_y == pytest.approx(2.0, abs=0.15)
    assert slope_x == pytest.approx(2.0, abs=0.15)
    assert scan.grid.centre_px == (47.5, 49.5)
