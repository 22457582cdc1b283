"""Simulated micrographs and series as files: the counts, and beside them the truth in the form of a phase map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from friedel.core.arrays import AnyArray
from friedel.core.errors import RunFolderError
from friedel.core.images import Micrograph
from friedel.core.phase_map import PhaseMapsOnDemand
from friedel.io import write_micrograph, write_series
from friedel.pipeline.runs.files import write_phase_map
from friedel.simulate.micrographs.series import SimulatedSeries, areas_px, onset_frames, simulate_frame, specimen_at
from friedel.simulate.micrographs.truth import MicrographTruth, SpotLabels, phase_map_of, spot_arrays, truth_attributes


def write_labelled_micrograph(out: Path, truth_out: Path, micrograph: Micrograph, truth: MicrographTruth) -> None:
    """Write a micrograph and its truth; ``load_phase_map`` reads the truth of a folder as it reads a run's map.

    The store of the truth has further arrays: ``grain_map`` (layers, y, x), grains counted from 1, and a column
    ``spot_...`` for each of ``SpotLabels``.
    """
    _refuse_existing(truth_out)
    write_micrograph(out, micrograph)
    extra = {"grain_map": truth.grain_map, **spot_arrays(truth.spots)}
    write_phase_map(
        truth_out, truth.phase_map, min_probability=0.5, extra=extra, attributes=truth_attributes(truth)
    )  # fmt: skip


def write_labelled_series(
    out: Path, truth_out: Path, series: SimulatedSeries, progress: Callable[[str, int, int], None]
) -> None:
    """Write a series frame by frame, and its truth.

    The store of the truth has further arrays: the columns ``spot_...`` with ``spot_frame``, ``area_px`` (t, grains),
    ``time_s`` and ``dose_e_per_a2`` by the end of each frame (t,), and ``drift_a`` (t + 1, 2).
    """
    _refuse_existing(truth_out)
    labels: list[SpotLabels] = []
    last: list[MicrographTruth] = []

    def frames() -> Iterator[Micrograph]:
        for i in range(len(series)):
            micrograph, truth = simulate_frame(series, i)
            labels.append(truth.spots)
            last[:] = [truth]
            progress("frames", i + 1, len(series))
            yield micrograph

    write_series(out, frames(), len(series))
    tables = [spot_arrays(spots) for spots in labels]
    extra: dict[str, AnyArray] = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    extra["spot_frame"] = np.repeat(np.arange(len(series)), [len(spots) for spots in labels])
    extra |= {"area_px": areas_px(series), "time_s": series.time_s, "dose_e_per_a2": series.dose_e_per_a2}
    extra["drift_a"] = series.drift_a
    attributes = {**truth_attributes(last[0]), "onset_frame": onset_frames(series), "frame_time_s": series.frame_time_s}
    maps = PhaseMapsOnDemand(len(series), lambda i: phase_map_of(specimen_at(series, i), series.imaging.sampling))
    write_phase_map(truth_out, maps, min_probability=0.5, extra=extra, attributes=attributes)


def _refuse_existing(path: Path) -> None:
    if path.suffix != ".zarr" or path.exists():
        problem = "exists already" if path.exists() else "is no name of a .zarr store"
        raise RunFolderError(f"{path} {problem}. Choose another --truth.")
