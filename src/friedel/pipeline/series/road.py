"""The road of a series: drift, spots in windows, names that hold for the whole stack, and every frame measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from friedel.core.arrays import AnyArray, FloatArray
from friedel.core.errors import DataError
from friedel.core.grids import RealGrid
from friedel.core.images import Micrograph, MicrographSeries, Pattern
from friedel.core.phase_map import PhaseMap, PhaseMapsOnDemand
from friedel.core.spots import Spots
from friedel.crystal import PhaseSet
from friedel.identify.grains.components import (
    ComponentOptions,
    log_gain,
    search_annulus,
    with_doubt,
    words_for_holes,
    words_for_missing,
)
from friedel.identify.grains.fringe_maps import presence_of
from friedel.identify.grains.naming import GrainMatch, name_spots
from friedel.identify.grains.table import Component, tabulate
from friedel.identify.series.lives import Life, find_lives
from friedel.identify.series.onsets import LEAST_FRAMES
from friedel.identify.series.tracking import Tracks, link_spots
from friedel.patterns.drift import Drift, estimate_drift
from friedel.patterns.masks import find_holes
from friedel.pipeline.progress import BlockStore, Progress
from friedel.pipeline.region import Region, find_region
from friedel.pipeline.series.frames import FramePlan
from friedel.pipeline.series.kept import Kept, MemoryStore
from friedel.pipeline.series.options import SeriesOptions
from friedel.pipeline.series.places import control_places, places_of_grains
from friedel.pipeline.series.windows import (
    Arrays,
    FrameSource,
    WindowPlan,
    frame_source,
    spots_of,
    unpacked,
    window_pattern,
    windows_of,
)

#: Numbers under which results are kept: the drift, the windows, and the frames from here on.
_DRIFT, _WINDOWS, _FRAMES = 0, 1, 1_000_000
#: A window holds at most so many frames by default: in more of them grains move against one another.
_MOST_IN_WINDOW, _USUAL_WINDOWS = 10, 12
#: A grain is mapped if a phase has at least this probability to be there.
_WORTH_MAPPING = 1e-3
_LEAST_SIDE_PX = 32


@dataclass(frozen=True, slots=True, eq=False)
class SeriesResult:
    """What a series shows.

    Parameters
    ----------
    drift
        Of the specimen.
    windows
        Frames in which spots were sought together.
    tracks
        The spots through the windows.
    pattern, spots, match
        Mean diffractogram of the windows; one spot per track, as it was brightest; grains and phases of the stack.
    components
        One row per phase and family, strongest first.
    k_inv_a, intensity
        Position (t, N, 2) of each spot in each frame, and amplitude of its fringes (t, N) in counts times nm².
    lives
        From when to when phases and components are seen.
    maps
        Phase map of each frame, made when it is asked for; positions are those of the first frame.
    step_px
        Pixels of a frame for one position of the maps.
    warnings
        What the reader must know, in sentences.
    """

    drift: Drift
    windows: tuple[range, ...]
    tracks: Tracks
    pattern: Pattern
    spots: Spots
    match: GrainMatch
    components: tuple[Component, ...]
    k_inv_a: FloatArray
    intensity: FloatArray
    lives: tuple[Life, ...]
    maps: Sequence[PhaseMap]
    step_px: int
    warnings: tuple[str, ...]


def map_whole_series(
    series: MicrographSeries, phases: PhaseSet, options: ComponentOptions | None = None
) -> SeriesResult:
    """Map whole frames of a series, as ``analyse_series`` does by default; results are kept in memory."""
    region = find_region((series.data.shape[1], series.data.shape[2]), None, None)
    return analyse_series(series, region, phases, options or ComponentOptions(), SeriesOptions(), store=MemoryStore())


def analyse_series(
    series: MicrographSeries,
    region: Region,
    phases: PhaseSet,
    options: ComponentOptions,
    how: SeriesOptions,
    *,
    store: BlockStore,
    executor: Executor | None = None,
    seed: int = 0,
    progress: Progress = lambda step, done, total: None,
) -> SeriesResult:
    """Map the phases of a series in three passes over its frames; no more than a few are held at a time.

    Drift; spots in windows of frames averaged in register, linked and named once for the whole stack; then every frame
    measured where these spots are, whether they stand out in it or not.

    Parameters
    ----------
    store
        Keeps the results of windows and frames: for resuming, and because they need not fit into memory.

    Raises
    ------
    DataError
        If the region is too small for an FFT, or the first frame is flat.
    """
    source = _checked(frame_source(series, region))
    kept = Kept(store, executor, progress)
    n = len(source)
    drift, missing = _drift(source, kept, progress)
    windows = windows_of(n, how.window_frames or min(_MOST_IN_WINDOW, max(1, round(n / _USUAL_WINDOWS))))
    shared = replace(options, false_alarms=options.false_alarms / len(windows))
    looks, power_of_all = _look_through(kept, WindowPlan(source, drift.shift_px, windows, phases, shared))
    pattern = window_pattern(source, power_of_all)
    tracks = link_spots([spots_of(look) for look in looks])
    union = _brightest(tracks, looks)
    spots, masks = spots_of(union), unpacked(union["mask"], source.map_shape)
    annulus = search_annulus(pattern, phases, options.d_min_a)
    sigma = series.grid.relative_sigma
    match = name_spots(spots, list(masks), phases, annulus, sigma, log_gain(pattern, options.optics), options.naming)
    is_mapped = match.grain_posterior[:, :-1].max(axis=1, initial=0.0) > _WORTH_MAPPING
    plan = FramePlan(
        source=source,
        shift_px=drift.shift_px,
        outlier_sigmas=options.fft.outlier_sigmas,
        k_inv_a=np.stack([tracks.positions_at(at) for at in _window_of_frames(windows)]),
        radius_inv_a=union["radius_inv_a"],
        plateau=union["plateau"],
        noise_rms=union["noise_rms"],
        grain=match.grains,
        **places_of_grains(source, tracks, looks, match),
        control_inv_a=control_places(spots, union["radius_inv_a"], annulus, how.controls, seed),
        is_mapped=is_mapped,
    )
    looks.clear()
    frames = [_table_of(look) for look in kept.fill("frames", _FRAMES, n, plan.look)]
    intensity, power, controls = (np.stack(column) for column in zip(*frames, strict=True))
    areas_nm2 = masks.sum(axis=(1, 2)) * np.prod(series.grid.step_a) * source.map_step_px**2 / 100
    components = tabulate(pattern, spots, match, areas_nm2)
    lives: tuple[Life, ...] = ()
    if len(spots) and n >= LEAST_FRAMES:
        lives = find_lives(match, components, np.moveaxis(power, 0, -1), np.moveaxis(controls, 0, -1), how.false_onsets)
    maps = _maps(kept, source, phases.names, with_doubt(match.grain_posterior)[is_mapped])
    return SeriesResult(drift, windows, tracks, pattern, spots, match, components, plan.k_inv_a, intensity, lives, maps,
                        source.map_step_px, _warnings(drift, match, n, missing))  # fmt: skip


def _checked(source: FrameSource) -> FrameSource:
    """Refuse what cannot be analysed before hours are spent on it."""
    if min(source.shape) < _LEAST_SIDE_PX:
        raise DataError(f"A region of {source.shape} pixels is too small for an FFT; at least 32 x 32 are needed.")
    if float(np.ptp(source.frame(0).data)) == 0.0:
        raise DataError("The first frame is flat: every pixel has the same value. Leave it out with --frames A:B.")
    return source


def _drift(source: FrameSource, kept: Kept, progress: Progress) -> tuple[Drift, AnyArray]:
    """Estimate the drift, and count pixels as in ``_warnings``; or take what an interrupted run has found."""

    def look() -> Arrays:
        missing = np.zeros(2, dtype=np.int64)

        def frames() -> Iterator[Micrograph]:
            for frame in source.frames():
                if frame.replaced is not None:
                    missing[:] += [np.count_nonzero(frame.replaced), np.count_nonzero(find_holes(frame.replaced))]
                yield frame

        found = estimate_drift(frames(), lambda done: progress("drift", done, len(source)))
        shifts = {"shift_px": found.shift_px, "sigma_px": found.sigma_px, "is_known": found.is_known}
        return shifts | {"missing": missing}

    arrays = dict(kept.get(_DRIFT, look))
    missing = arrays.pop("missing")
    return Drift(**arrays), missing


def _look_through(kept: Kept, plan: WindowPlan) -> tuple[list[Arrays], AnyArray]:
    """Search all windows; their results without the diffractograms, and the mean of these."""
    looks, total = [], np.zeros(plan.source.shape, dtype=np.float32)
    for look in kept.fill("windows", _WINDOWS, len(plan.windows), plan.look):
        total += look.pop("power")
        looks.append(look)
    return looks, total / np.float32(len(looks))


def _brightest(tracks: Tracks, looks: Sequence[Arrays]) -> Arrays:
    """Take the sighting of each track in which it is brightest."""
    at = tracks.brightest()
    rows = [(int(tracks.window[i]), int(tracks.row[i])) for i in at]
    union = {
        name: np.array([looks[w][name][r] for w, r in rows], dtype=column.dtype).reshape(len(rows), *column.shape[1:])
        for name, column in looks[0].items()
    }
    union["k_inv_a"] = tracks.k_inv_a[at]
    return union


def _window_of_frames(windows: Sequence[range]) -> FloatArray:
    """Where each frame (t,) lies on the scale on which the middle of window i is i."""
    middles = [(window.start + window.stop - 1) / 2 for window in windows]
    return np.interp(np.arange(windows[-1].stop), middles, np.arange(len(windows)))


def _table_of(look: Arrays) -> tuple[AnyArray, AnyArray, AnyArray]:
    return look["intensity"], look["power"], look["controls"]


def _maps(kept: Kept, source: FrameSource, phases: tuple[str, ...], posterior: FloatArray) -> PhaseMapsOnDemand:
    """The phase map of each frame, from the outlines of its grains."""
    grid, shape = source.series.grid, source.map_shape
    step_a = (grid.step_a[0] * source.map_step_px, grid.step_a[1] * source.map_step_px)
    map_grid = RealGrid(step_a, grid.source, grid.relative_sigma)

    def make(frame: int) -> PhaseMap:
        look = kept.load(_FRAMES + frame)
        presence = presence_of(list(unpacked(look["mask"], shape)), posterior, shape)
        valid = unpacked(look["valid"], shape)[0]
        presence[~valid] = 0.0
        return PhaseMap(phases, presence, valid, map_grid)

    return PhaseMapsOnDemand(len(source), make)


def _warnings(drift: Drift, match: GrainMatch, n_frames: int, missing: AnyArray) -> tuple[str, ...]:
    """Say what the reader of the result must know; ``missing`` counts pixels without a value, and those in holes."""
    said = [words(int(n)) for words, n in zip((words_for_missing, words_for_holes), missing, strict=True) if n]
    n = len(match.names)
    if n == 0:
        said.append("No spot stands out of the noise in any window: the maps are empty. More dose may help.")
    lost = int((~drift.is_known).sum())
    if lost:
        said.append(f"{lost} of {n_frames} frames are like none before them: their drift is interpolated.")
    ambiguous, unknown = sum("|" in name for name in match.names), sum(name == "unknown" for name in match.names)
    if ambiguous:
        said.append(f"{ambiguous} of {n} spots fit several phases: their spacings do not decide which.")
    if unknown:
        said.append(f"{unknown} of {n} spots fit none of the phases.")
    if n_frames < LEAST_FRAMES:
        said.append(f"Onsets are not judged: that takes at least {LEAST_FRAMES} frames.")
    return tuple(said)
