"""The files of a run folder: writing and reading phase maps, spots, tables and summaries."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec
from zarr.errors import GroupNotFoundError

from friedel.core.arrays import AnyArray
from friedel.core.errors import CalibrationError, DataError, RunFolderError
from friedel.core.grids import RealGrid
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.pipeline.runs.folder import writing_to
from friedel.pipeline.runs.provenance import Provenance
from friedel.report.files import write_atomic
from friedel.report.tables import Cell, write_csv

COMPONENT_COLUMNS = (
    "frame", "phase", "hkl", "d_measured_a", "d_sigma_a", "d_reference_a", "deviation_percent", "probability",
    "n_spots", "feature_size_px", "intensity",
)  # fmt: skip
EVOLUTION_COLUMNS = (
    "frame", "time_s", "dose_e_per_a2", "phase", "intensity", "area_nm2", "fraction", "d_measured_a",
)  # fmt: skip
ONSET_COLUMNS = (
    "phase", "hkl", "event", "frame", "frame_low", "frame_high", "time_s", "dose_e_per_a2", "false_alarms",
    "d_measured_a",
)  # fmt: skip
_SPOT_ARRAYS = ("k_inv_a", "sigma_inv_a", "intensity", "snr", "offsets")
_CHUNK_BYTES = 4 * 2**20
#: No chunk is written larger, and one that states to be is not believed.
_MAX_CHUNK_BYTES = 256 * 2**20
#: What zarr and its codecs raise over damaged files.
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OSError, RuntimeError, DataError, CalibrationError)


@dataclass(frozen=True, slots=True)
class Summary:
    """What summary.json holds.

    Parameters
    ----------
    kind
        "scan", "micrograph" or "series".
    phases, fractions
        Names in order; share of valid positions by name, with "none" and "mixed" (``PhaseMap.fractions``).
    calibration
        By quantity: value with unit in its name, ``source`` and ``relative_sigma``.
    timing_s
        Seconds by step.
    """

    kind: str
    phases: tuple[str, ...]
    fractions: Mapping[str, float]
    calibration: Mapping[str, Mapping[str, Any]]
    n_positions: int
    n_spots: int
    warnings: tuple[str, ...] = ()
    timing_s: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if taken := {"none", "mixed"} & set(self.phases):
            raise DataError(f"A phase cannot be called {taken.pop()!r}: summary.json uses that word. Rename the phase.")
        if set(self.fractions) != {*self.phases, "none", "mixed"}:
            raise DataError(f"fractions must have each phase, none and mixed, got {', '.join(self.fractions)}.")


def write_phase_map(
    path: str | Path,
    maps: PhaseMap | Sequence[PhaseMap],
    *,
    min_probability: float,
    extra: Mapping[str, AnyArray] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write a phase map, or one per frame of a series, as a zarr store (format 3); equal maps give equal bytes.

    Parameters
    ----------
    maps
        One map (y, x, P), or the maps of all frames, which must agree in phases, shape and grid.
    min_probability
        Threshold of ``label``.
    extra
        Further arrays by name, such as ``amplitude``.
    attributes
        Further attributes in JSON's types, such as ``step_px``.
    """
    frames = [maps] if isinstance(maps, PhaseMap) else maps
    first = frames[0]
    axes = ("y", "x") if isinstance(maps, PhaseMap) else ("t", "y", "x")
    shape = first.valid.shape if isinstance(maps, PhaseMap) else (len(frames), *first.valid.shape)
    n_phases = len(first.phases)
    with writing_to(Path(path)):
        root = zarr.open_group(path, mode="w", zarr_format=3)
        presence = _create(root, "presence", (*shape, n_phases), np.float32, (*axes, "phase"))
        label = _create(root, "label", shape, np.uint32, axes)
        valid = _create(root, "valid", shape, np.bool_, axes)
        for i, frame in enumerate(frames):
            _check_alike(frame, first, i)
            part = ... if isinstance(maps, PhaseMap) else i
            presence[part], label[part], valid[part] = frame.presence, frame.labels(min_probability), frame.valid
        for name, array in (extra or {}).items():
            _create(root, name, array.shape, array.dtype, None)[...] = array
        root.attrs.update(
            {
                "phases": list(first.phases),
                "min_probability": min_probability,
                "scale": None if first.grid is None else {**asdict(first.grid), "step_a": list(first.grid.step_a)},
                **(attributes or {}),
            }
        )


def load_phase_map(run: str | Path, frame: int | None = None) -> PhaseMap:
    """Read the phase map of a run, of one frame if it is a series; ``run`` may be the map's own folder, ``*.zarr``.

    Raises
    ------
    RunFolderError
        If the run has no readable map, or ``frame`` does not fit to it.
    """
    path = _map_path(run)
    root = _open(path)
    try:
        presence, valid = _whole(root, "presence"), _whole(root, "valid")
        is_series = presence.ndim == 4
        if is_series != (frame is not None) or not 0 <= (frame or 0) < presence.shape[0]:
            wanted = f"frame 0 to {presence.shape[0] - 1}" if is_series else "no frame"
            raise RunFolderError(f"{path} is {'a series' if is_series else 'one map'}: give {wanted}, got {frame}.")
        part = frame if is_series else ...
        scale = root.attrs["scale"]
        grid = None if scale is None else RealGrid(**{**scale, "step_a": tuple(scale["step_a"])})
        phases = tuple(root.attrs["phases"])
        return PhaseMap(phases, np.asarray(presence[part]), np.asarray(valid[part]), grid)
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def load_map_attributes(run: str | Path) -> dict[str, Any]:
    """Read the attributes of a run's phase map, such as ``min_probability`` and ``roi``."""
    return dict(_open(_map_path(run)).attrs)


def _map_path(run: str | Path) -> Path:
    """Folder of a phase map: given itself, or in a run folder."""
    return Path(run) if (Path(run) / "presence").is_dir() else Path(run) / "phase_map.zarr"


def write_spots(path: str | Path, spots: Spots, *, extra: Mapping[str, AnyArray] | None = None) -> None:
    """Write a spot table as a zarr store (format 3); equal tables give equal bytes.

    Parameters
    ----------
    extra
        Further columns by name, one value per spot, such as the index of its phase.
    """
    extra = extra or {}
    for name, column in extra.items():
        if column.shape[:1] != (len(spots),):
            raise DataError(f"The column {name} must have {len(spots)} values, one per spot, got {column.shape}.")
    with writing_to(Path(path)):
        root = zarr.open_group(path, mode="w", zarr_format=3)
        for name in _SPOT_ARRAYS:
            array = getattr(spots, name)
            _create(root, name, array.shape, array.dtype, None)[...] = array
        for name, column in extra.items():
            _create(root, name, column.shape, column.dtype, None)[...] = column
        root.attrs.update({"scan_shape": list(spots.scan_shape), "k_axes": ["ky", "kx"], "k_unit": "1/Å"})


def load_spots(run: str | Path) -> Spots:
    """Read the spot table of a run; RunFolderError if there is none that can be read."""
    path = Path(run) / "spots.zarr"
    root = _open(path)
    try:
        ry, rx = root.attrs["scan_shape"]
        k, sigma, intensity, snr, offsets = (np.asarray(_whole(root, name)[...]) for name in _SPOT_ARRAYS)
        return Spots(k, sigma, intensity, snr, offsets, (int(ry), int(rx)))
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def write_components(path: str | Path, rows: Iterable[Mapping[str, Cell]]) -> None:
    """Write components.csv: one row per component (and frame), with ``COMPONENT_COLUMNS``."""
    with writing_to(Path(path)):
        write_csv(path, COMPONENT_COLUMNS, rows)


def write_evolution(path: str | Path, rows: Iterable[Mapping[str, Cell]]) -> None:
    """Write evolution.csv: one row per frame and phase, with ``EVOLUTION_COLUMNS``."""
    with writing_to(Path(path)):
        write_csv(path, EVOLUTION_COLUMNS, rows)


def write_onsets(path: str | Path, rows: Iterable[Mapping[str, Cell]]) -> None:
    """Write onsets.csv: one row per phase or component and event, with ``ONSET_COLUMNS``."""
    with writing_to(Path(path)):
        write_csv(path, ONSET_COLUMNS, rows)


def write_summary(path: str | Path, summary: Summary) -> None:
    """Write summary.json; values that are NaN or infinite become null."""
    write_json(Path(path), asdict(summary))


def load_summary(run: str | Path) -> Summary:
    """Read the summary of a run; RunFolderError if there is none that can be read."""
    path = Path(run) / "summary.json"
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Summary(**{**fields, "phases": tuple(fields["phases"]), "warnings": tuple(fields["warnings"])})
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, error) from error


def write_provenance(path: str | Path, provenance: Provenance) -> None:
    """Write provenance.json."""
    write_json(Path(path), provenance.as_dict())


def write_recipe(path: str | Path, recipe_toml: str) -> None:
    """Write recipe.toml, the recipe as run."""
    with writing_to(Path(path)):
        write_atomic(path, recipe_toml.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write plain values as JSON that every reader accepts."""
    text = json.dumps(plain_values(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with writing_to(path):
        write_atomic(path, text.encode("utf-8"))


def plain_values(value: Any) -> Any:
    """Return a value in JSON's types: numpy numbers as plain ones, what is not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    if isinstance(value, np.generic):
        return plain_values(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _create(root: Any, name: str, shape: tuple[int, ...], dtype: Any, axes: tuple[str, ...] | None) -> Any:
    """Make an array cut along its first axis into chunks of at most ``_CHUNK_BYTES``, a series frame by frame.

    Every chunk is written, one of zeros too, and carries a checksum: a chunk that is lost or damaged later is noticed.
    """
    row_bytes = np.dtype(dtype).itemsize * math.prod(shape[1:])
    rows = 1 if axes is not None and axes[0] == "t" else max(1, min(shape[0], _CHUNK_BYTES // max(row_bytes, 1)))
    chunks = [rows, *(max(n, 1) for n in shape[1:])]
    if row_bytes > _MAX_CHUNK_BYTES:
        chunks[1] = max(1, shape[1] * _MAX_CHUNK_BYTES // row_bytes)
    return root.create_array(
        name, shape=shape, dtype=dtype, chunks=tuple(chunks), dimension_names=axes,
        compressors=ZstdCodec(checksum=True), config={"write_empty_chunks": True},
    )  # fmt: skip


def _whole(root: Any, name: str) -> Any:
    """Return an array of a store whose chunks are all there; zarr would read a missing one as zeros."""
    array = root[name]
    if math.prod(array.chunks) * array.dtype.itemsize > _MAX_CHUNK_BYTES:
        raise DataError(f"{name} states chunks of shape {array.chunks}")
    if missing := array.nchunks - array.nchunks_initialized:
        raise DataError(f"{missing} of {array.nchunks} chunks of {name} are missing")
    return array


def _check_alike(frame: PhaseMap, first: PhaseMap, number: int) -> None:
    """Raise unless a frame's map goes with the first one's."""
    if (frame.phases, frame.valid.shape, frame.grid) != (first.phases, first.valid.shape, first.grid):
        raise DataError(
            f"The map of frame {number} must have the phases {first.phases}, shape {first.valid.shape} and grid of "
            f"frame 0, got {frame.phases}, {frame.valid.shape}."
        )


def _open(path: Path) -> Any:
    """Open a store for reading."""
    try:
        return zarr.open_group(path, mode="r")
    except (FileNotFoundError, GroupNotFoundError) as error:
        raise _missing(path) from error
    except _UNREADABLE as error:
        raise _damaged(path, error) from error


def _missing(path: Path) -> RunFolderError:
    run = path.parent
    if path == _map_path(run):
        what = "holds no phase map" if run.is_dir() else "is no folder" if run.exists() else "does not exist"
        return RunFolderError(
            f"{run} {what}. Give the folder that a finished run wrote, or the truth that friedel "
            "simulate wrote beside its data."
        )
    return RunFolderError(f"{path} does not exist. Give the folder that a finished run wrote, the value of its --out.")


def _damaged(path: Path, error: Exception) -> RunFolderError:
    return RunFolderError(f"{path} cannot be read ({type(error).__name__}: {error}). Copy it, or make it, again.")
