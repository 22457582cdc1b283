"""Series of micrographs of a specimen that changes under the beam, frame by frame, with the truth of each frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from friedel.core.arrays import FloatArray, IntArray
from friedel.core.errors import DataError
from friedel.core.images import Micrograph
from friedel.crystal import load_phases
from friedel.simulate.micrographs.camera import Exposure
from friedel.simulate.micrographs.grains import Grain, place_disks, random_outline, star_region
from friedel.simulate.micrographs.imaging import Imaging
from friedel.simulate.micrographs.micrograph import SEI_PHASES, SEI_THICKNESS_A, SEI_ZONES, simulate_micrograph
from friedel.simulate.micrographs.optics import Complex64Array, Optics
from friedel.simulate.micrographs.sampling import Sampling
from friedel.simulate.micrographs.specimen import Specimen, film_spectrum
from friedel.simulate.micrographs.truth import MicrographTruth

#: When LiF has shrunk to a twentieth of its area and the other phases appear, as shares of the series.
SEI_ONSETS = {"lif": 0.0, "li": 0.06, "li2o": 0.22, "li2co3": 0.4}
_LIF_REMNANT, _LIF_END = 0.05, 0.9


@dataclass(frozen=True, slots=True, eq=False)
class ChangingGrain:
    """A grain whose area changes evenly in time.

    Parameters
    ----------
    grain
        The crystal; its region is drawn anew for each frame.
    centre_px, corner_px
        Outline of the grain at its full size, as for ``star_region``.
    frames, area_shares
        Share of the full area up to the first of two frames and from the second on; in between it changes evenly.
    """

    grain: Grain
    centre_px: tuple[float, float]
    corner_px: FloatArray
    frames: tuple[int, int]
    area_shares: tuple[float, float]

    def __post_init__(self) -> None:
        if not self.frames[0] < self.frames[1] or not all(0 <= share <= 1 for share in self.area_shares):
            raise DataError(f"Frames must rise and shares lie in 0 to 1, got {self.frames} and {self.area_shares}.")


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSeries:
    """A plan of a series; frames are drawn in any order, and always the same.

    Parameters
    ----------
    grains, film_a, phases
        The specimen, as in ``Specimen``.
    imaging
        Its exposure is that of one frame.
    frame_time_s
        Seconds per frame.
    drift_a
        Shift (t + 1, 2) of the specimen at the beginning of each frame, and at the end of the last.
    seed
        Seed of the film and of the noise of each frame.
    """

    grains: tuple[ChangingGrain, ...]
    film_a: float
    phases: tuple[str, ...]
    imaging: Imaging
    frame_time_s: float
    drift_a: FloatArray
    seed: int

    def __len__(self) -> int:
        return len(self.drift_a) - 1

    @property
    def time_s(self) -> FloatArray:
        """When each frame ended, (t,)."""
        return np.arange(1, len(self) + 1, dtype=np.float64) * self.frame_time_s

    @property
    def dose_e_per_a2(self) -> FloatArray:
        """Dose by the end of each frame, (t,)."""
        return np.arange(1, len(self) + 1, dtype=np.float64) * self.imaging.exposure.dose_e_per_a2


def simulate_frame(series: SimulatedSeries, frame: int) -> tuple[Micrograph, MicrographTruth]:
    """Simulate one frame of a series with its truth."""
    specimen, way = specimen_at(series, frame), series.drift_a[frame + 1] - series.drift_a[frame]
    exposure = replace(series.imaging.exposure, drift_a=(float(way[0]), float(way[1])))
    imaging = replace(series.imaging, exposure=exposure)
    rng = np.random.default_rng([series.seed, 1, frame])
    return simulate_micrograph(specimen, imaging, rng, film=_film_at(series, frame))


def specimen_at(series: SimulatedSeries, frame: int) -> Specimen:
    """Draw the specimen in the middle of a frame; a grain that is not there yet, or no longer, has no pixels."""
    if not 0 <= frame < len(series):
        raise DataError(f"The series has frames 0 to {len(series) - 1}, got {frame}.")
    shift_a = series.drift_a[frame : frame + 2].mean(axis=0)
    shift_px = np.linalg.solve(series.imaging.sampling.matrix_a, shift_a)
    grains = []
    for changing in series.grains:
        area = float(np.interp(frame, changing.frames, changing.area_shares))
        centre = np.array(changing.centre_px) + shift_px
        # An outline of radius 0 would still catch a pixel in its middle.
        reach = changing.corner_px * np.sqrt(area) if area > 0 else np.full(len(changing.corner_px), -1.0)
        region = star_region(series.imaging.sampling.shape, (float(centre[0]), float(centre[1])), reach)
        origin = np.array(changing.grain.origin_a) + shift_a
        grains.append(replace(changing.grain, region=region, origin_a=(float(origin[0]), float(origin[1]))))
    return Specimen(tuple(grains), series.film_a, series.phases)


def areas_px(series: SimulatedSeries) -> IntArray:
    """Pixels of each grain in each frame, (t, grains)."""
    rows = [[grain.region.area_px for grain in specimen_at(series, i).grains] for i in range(len(series))]
    return np.array(rows, dtype=np.int64).reshape(len(series), len(series.grains))


def onset_frames(series: SimulatedSeries) -> dict[str, int | None]:
    """First frame in which there is a pixel of each phase; None if there is none."""
    areas, names = areas_px(series), [changing.grain.crystal.name for changing in series.grains]
    onsets: dict[str, int | None] = {}
    for phase in series.phases:
        there = areas[:, [name == phase for name in names]].any(axis=1)
        onsets[phase] = int(np.argmax(there)) if there.any() else None
    return onsets


def sei_series(
    seed: int,
    n_frames: int = 100,
    *,
    shape: tuple[int, int] = (1024, 1024),
    frame_time_s: float = 2.46,
    dose_rate_e_per_a2_s: float = 160.0,
    drift_a_per_frame: float = 0.5,
) -> SimulatedSeries:
    """Plan a series of an SEI under the beam: LiF shrinks, Li grows, Li2O and Li2CO3 appear later; 0.37 Å per pixel.

    Parameters
    ----------
    n_frames
        Frames, at least 10; the phases appear at the shares of the series in ``SEI_ONSETS``.
    drift_a_per_frame
        Root mean square of the way that the specimen drifts in a frame, a random walk.
    """
    if n_frames < 10:
        raise DataError(f"A series needs at least 10 frames, got {n_frames}. Pass --frames.")
    if not frame_time_s > 0 or not drift_a_per_frame >= 0:
        raise DataError("frame_time_s must be positive and drift_a_per_frame not negative.")
    rng = np.random.default_rng([seed, 0])
    crystals = {crystal.name: crystal for crystal in load_phases(SEI_PHASES).crystals}
    radii_px = np.repeat((130.0, 85.0), len(SEI_PHASES)) * (min(shape) / 1024)
    middles = place_disks(shape, radii_px * 1.16, rng)
    grains = []
    for i, (middle, radius) in enumerate(zip(middles, radii_px, strict=True)):
        name = SEI_PHASES[i % len(SEI_PHASES)]
        outline = random_outline(float(radius), rng)
        lattice = Grain(
            crystals[name],
            SEI_ZONES[name][i // len(SEI_PHASES)],
            star_region(shape, (0.0, 0.0), outline),
            rotation_deg=float(rng.uniform(0, 360)),
            thickness_a=SEI_THICKNESS_A[name],
        )
        frames, shares = _change_of(name, n_frames)
        grains.append(ChangingGrain(lattice, (float(middle[0]), float(middle[1])), outline, frames, shares))
    steps = rng.normal(0, drift_a_per_frame / np.sqrt(2), (n_frames, 2))
    drift_a = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    imaging = Imaging(Sampling(shape, (0.37, 0.37)), Optics(), Exposure(dose_rate_e_per_a2_s * frame_time_s))
    return SimulatedSeries(tuple(grains), 80.0, SEI_PHASES, imaging, frame_time_s, drift_a, seed)


def _change_of(name: str, n_frames: int) -> tuple[tuple[int, int], tuple[float, float]]:
    """When a phase's grains change, and between which shares of their full area."""
    if name == "lif":
        return (0, round(_LIF_END * n_frames)), (1.0, _LIF_REMNANT)
    return (round(SEI_ONSETS[name] * n_frames) - 1, n_frames - 1), (0.0, 1.0)


def _film_at(series: SimulatedSeries, frame: int) -> Complex64Array | None:
    """Half spectrum of the film in a frame: one film for all, shifted by the drift."""
    if series.film_a == 0:
        return None
    sampling = series.imaging.sampling
    film = film_spectrum(series.film_a, sampling, series.imaging.beam, np.random.default_rng([series.seed, 2]))
    ky, kx = sampling.frequencies(half=True)
    dy, dx = series.drift_a[frame : frame + 2].mean(axis=0)
    return np.asarray(film * np.exp(-2j * np.pi * (ky * dy + kx * dx)), dtype=np.complex64)
