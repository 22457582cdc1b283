"""A run as tables that a spreadsheet opens: positions, spots, components, evolution and onsets."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from friedel.core.arrays import AnyArray
from friedel.io.maps.types import MapImage, MapSet
from friedel.pipeline.runs.files import load_spots
from friedel.report.tables import csv_cell

#: Tables of the run folder that are tables already.
_TABLES = ("components.csv", "evolution.csv", "onsets.csv")


def write_tables(folder: Path, run: Path, maps: MapSet) -> None:
    """Write positions.csv, spots.csv and the run's own tables into a new folder.

    Numbers are written so that they read back as the same number of the same type; where there is no value, the cell is
    empty. No cell is a formula.
    """
    folder.mkdir()
    _write(folder / "positions.csv", _position_columns(maps), _position_rows(maps))
    spots = load_spots(run)
    names = ["ry", "rx", "ky_inv_a", "kx_inv_a", "sigma_ky_inv_a", "sigma_kx_inv_a", "d_a", "intensity", "snr"]
    pattern = np.repeat(np.arange(spots.n_patterns), np.diff(spots.offsets))
    columns = [*np.divmod(pattern, spots.scan_shape[1]), *spots.k_inv_a.T, *spots.sigma_inv_a.T,
               1.0 / spots.radius_inv_a, spots.intensity, spots.snr]  # fmt: skip
    _write(folder / "spots.csv", names, zip(*map(_texts, columns), strict=True))
    for name in _TABLES:
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)


def _write(path: Path, names: list[str], rows: Iterator[tuple[str, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([csv_cell(name) for name in names])
        writer.writerows(rows)


def _position_columns(maps: MapSet) -> list[str]:
    plane = maps.image("valid").axes
    units = [f"{axis.name}_{axis.unit}" for axis in plane[-2:] if axis.step is not None]
    return [*(axis.name for axis in plane), *units, "phases", *(name for i in _values(maps) for name in _columns(i))]


def _position_rows(maps: MapSet) -> Iterator[tuple[str, ...]]:
    """Yield a row per position, one line of the map after the other."""
    valid = maps.image("valid")
    names = {bits: csv_cell(text) for bits, text in _label_names(maps).items()}
    labels = maps.image("label").data
    plane = valid.axes[-2:]
    for line in np.ndindex(valid.data.shape[:-1]):
        nx = plane[1].size
        columns = [[str(index)] * nx for index in line] + [list(map(str, range(nx)))]
        if plane[0].step is not None and plane[1].step is not None:
            y = plane[0].offset + line[-1] * plane[0].step
            columns += [[f"{y:.9g}"] * nx]
            columns += [[f"{plane[1].offset + i * plane[1].step:.9g}" for i in range(nx)]]
        columns.append(
            [names[int(bits)] if ok else "" for bits, ok in zip(labels[line], valid.data[line], strict=True)]
        )
        for image in _values(maps):
            columns += _line_of(image, line)
        yield from zip(*columns, strict=True)


def _values(maps: MapSet) -> list[MapImage]:
    return [image for image in maps.images if image.name not in ("label", "valid")]


def _columns(image: MapImage) -> list[str]:
    """Name the columns of a map: one per phase, or one; zone axes are one cell."""
    phases = next((axis.labels for axis in image.axes if axis.name == "phase"), ())
    return [f"{image.name} {phase}" for phase in phases] or [image.name]


def _line_of(image: MapImage, line: tuple[int, ...]) -> list[list[str]]:
    """Return the columns of one line of a map, in the order of ``_columns``."""
    first = len(line) - 1
    data = image.data[line[:-1]]
    values = data[..., line[-1], :]
    if any(axis.name == "phase" for axis in image.axes[first:-2]):
        return [_joined(part) for part in values]
    return [_joined(values)]


def _joined(values: AnyArray) -> list[str]:
    """Return the texts of a line (x,), or of several values per position (..., x), with spaces between them."""
    if values.ndim == 1:
        return _texts(values)
    parts = [_texts(part) for part in values.reshape(-1, values.shape[-1])]
    return [" ".join(cells) for cells in zip(*parts, strict=True)]


def _texts(values: AnyArray) -> list[str]:
    """Return the shortest texts that give the same numbers of the same type; nothing for NaN."""
    return ["" if text == "nan" else text for text in np.asarray(values).astype(str).tolist()]


def _label_names(maps: MapSet) -> dict[int, str]:
    """Return the words for every set of phases that occurs."""
    phases = maps.facts["phases"]
    found = np.unique(maps.image("label").data).tolist()
    return {
        bits: " + ".join(name for i, name in enumerate(phases) if bits >> i & 1) or "none of them" for bits in found
    }
