"""Addresses under which the page finds finished runs."""

from __future__ import annotations

import csv
import io
import os
import stat
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from friedel.core.arrays import AnyArray
from friedel.core.errors import DataError, FileError, FriedelError, RunFolderError
from friedel.core.phase_map import PhaseMap
from friedel.crystal import is_cif_path
from friedel.pipeline.recipe import Recipe
from friedel.pipeline.runs.files import load_map_attributes, load_phase_map, load_summary, plain_values
from friedel.pipeline.runs.folder import is_run
from friedel.report.colours import phase_colours
from friedel.web.evidence import evidence_at
from friedel.web.frames import encode
from friedel.web.recipes import checked_recipe, command_of, python_of
from friedel.web.roots import Roots
from friedel.web.security import REPORT_POLICY

_MAX_TEXT_BYTES = 32 * 2**20
_PIECE_BYTES = 2**18
#: Files of a run that can be downloaded one by one, and their types.
_FILES = {
    "report.html": "text/html; charset=utf-8",
    "summary.json": "application/json",
    "provenance.json": "application/json",
    "recipe.toml": "application/toml",
    "components.csv": "text/csv; charset=utf-8",
    "evolution.csv": "text/csv; charset=utf-8",
    "onsets.csv": "text/csv; charset=utf-8",
    "film.gif": "image/gif",
}
#: Arrays beside presence that are pictures.
_PICTURES = (
    "annular", "bright_field", "amplitude", "off_zone_deg", "rotation_deg", "strain", "d_spacing_a", "strain_yy",
    "strain_xx", "strain_xy", "lattice_turn_deg", "label_neighbours",
)  # fmt: skip
#: Those that each position has of one phase at most, the one that is alone there.
_OF_ONE_PHASE = ("d_spacing_a", "strain_yy", "strain_xx", "strain_xy", "lattice_turn_deg")


def result_routes(roots: Roots, runs: Path) -> APIRouter:
    """Make the addresses for looking at runs."""
    routes = APIRouter(prefix="/api")

    def run_at(path: str) -> Path:
        pinned = roots.pin(path)
        if not pinned.is_folder or not is_run(pinned.path):
            raise RunFolderError(f"{pinned.path.name} is no finished run. Choose a folder that friedel map wrote.")
        return pinned.path

    @routes.get("/runs")
    def all_runs() -> list[dict[str, Any]]:
        """List the runs of the page, newest first."""
        _, entries = roots.listing(runs)
        found = sorted((e for e in entries if e.kind == "run"), key=lambda e: -e.changed_s)
        return [{"name": e.name, "path": e.path, "changed_s": e.changed_s} for e in found]

    @routes.get("/run")
    def run(path: str) -> dict[str, Any]:
        """Describe a run: its answer, its settings, and how to repeat it."""
        return describe_run(run_at(path), roots)

    @routes.get("/run/map")
    def phase_map(path: str, frame: int | None = None) -> Response:
        """Presence of each phase and, last, where the map is valid: (P + 1, y, x), 0 to 255."""
        found = load_phase_map(run_at(path), frame)
        layers = np.concatenate([found.presence * np.float32(255), found.valid[..., None] * np.float32(255)], axis=-1)
        body = encode(np.ascontiguousarray(np.rint(layers).astype(np.uint8).transpose(2, 0, 1)))
        return Response(body, media_type="application/octet-stream")

    @routes.get("/run/picture")
    def picture(path: str, name: str, phase: int = 0) -> Response:
        """Return a picture of a run beside its map, such as its virtual images."""
        if name not in _PICTURES:
            raise DataError(f"A run has no picture {name!r}. Choose one of {', '.join(_PICTURES)}.")
        array = _array(run_at(path), name)
        if array is None:
            raise DataError(f"This run has no {name}.")
        return Response(encode(plane_of(array, name, phase)), media_type="application/octet-stream")

    @routes.get("/run/evidence")
    def evidence(path: str, y: int, x: int) -> dict[str, Any]:
        """Say what was found at a position of a scan."""
        folder = run_at(path)
        recipe, _ = _recipe(folder, roots)
        sources = load_summary(folder).phases if recipe is None else recipe.phases
        for file in filter(is_cif_path, sources):
            roots.pin(file.strip())
        return evidence_at(folder, y, x, sources)

    @routes.get("/run/file/{name}")
    def file(path: str, name: str, show: bool = False) -> Response:
        """Return a file of a run; the report may be shown, everything else is downloaded."""
        if name not in _FILES:
            raise FileError(name, "is no file of a run", f"Choose one of {', '.join(_FILES)}.")
        data = roots.read_bytes(run_at(path) / name, _MAX_TEXT_BYTES)
        headers = {"Content-Security-Policy": REPORT_POLICY}
        if not (show and name == "report.html"):
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(data, media_type=_FILES[name], headers=headers)

    @routes.get("/run/zip")
    def whole(path: str) -> StreamingResponse:
        """Return a whole run as one ZIP file."""
        folder = run_at(path)
        safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in folder.name)
        headers = {"Content-Disposition": f'attachment; filename="{safe}.zip"'}
        return StreamingResponse(zipped(folder, roots), media_type="application/zip", headers=headers)

    return routes


def describe_run(folder: Path, roots: Roots) -> dict[str, Any]:
    """Gather what the page shows of a run."""
    summary = load_summary(folder)
    attributes = load_map_attributes(folder)
    recipe, recipe_problem = _recipe(folder, roots)
    components = _table(folder / "components.csv")
    shape = _array_shape(folder)
    out: dict[str, Any] = plain_values(
        {
            "path": str(folder),
            "name": folder.name,
            "kind": summary.kind,
            "phases": summary.phases,
            "colours": list(phase_colours(summary.phases).values()),
            "fractions": summary.fractions,
            "calibration": summary.calibration,
            "n_positions": summary.n_positions,
            "n_spots": summary.n_spots,
            "warnings": summary.warnings,
            "timing_s": summary.timing_s,
            "min_probability": attributes["min_probability"],
            "scale": attributes["scale"],
            "roi": attributes.get("roi"),
            "step_px": attributes.get("step_px", 1),
            "annulus_inv_a": attributes.get("annulus_inv_a"),
            "n_frames": shape[0] if len(shape) == 4 else None,
            "shape": shape[-3:-1],
            "pictures": [name for name in _PICTURES if _array(folder, name, only_look=True) is not None],
            "zones": _zones(folder, summary.phases, attributes["min_probability"]),
            "components": components,
            "spots": _named_spots(folder, components) if summary.kind != "scan" else [],
            "evolution": _table(folder / "evolution.csv"),
            "onsets": [row for row in _table(folder / "onsets.csv") if not row["hkl"]],
            "first_frame": attributes.get("first_frame", 0),
            "files": [name for name in _FILES if (folder / name).is_file()],
            "recipe_problem": recipe_problem,
            "recipe": None if recipe is None else recipe.model_dump(mode="json", exclude_none=True),
            "command": None if recipe is None else command_of(recipe, folder),
            "python": None if recipe is None else python_of(recipe, folder),
        }
    )
    return out


def plane_of(array: AnyArray, name: str, phase: int) -> AnyArray:
    """Return an array (y, x), or of a phase (y, x, P): of whichever has a value where at most one does."""
    if name in _OF_ONE_PHASE:
        return np.where(np.isfinite(array).any(axis=-1), np.nansum(array, axis=-1), np.nan)
    return array if array.ndim == 2 else array[..., phase]


def zipped(folder: Path, roots: Roots) -> Iterator[bytes]:
    """Yield a folder as a ZIP file, piece by piece; links in it are left out."""
    sink = _Sink()
    with roots.opened(folder) as (fd, _), zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for where, _, names, at in os.fwalk(".", dir_fd=fd, follow_symlinks=False):
            for name in sorted(names):
                if not stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                    continue
                inner = os.path.normpath(f"{folder.name}/{where}/{name}")
                with (
                    os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=at), "rb") as file,
                    archive.open(inner, "w") as out,
                ):
                    while piece := file.read(_PIECE_BYTES):
                        out.write(piece)
                        yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """Collects what a ZIP file writes until it is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """Say that it takes bytes."""
        return True

    def write(self, data: Any, /) -> int:
        """Keep a piece."""
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """Return what was written since."""
        out = b"".join(self._pieces)
        self._pieces.clear()
        return out


def _recipe(folder: Path, roots: Roots) -> tuple[Recipe | None, str | None]:
    """Read the recipe of a run; None, and why, if it cannot be repeated here: another version, an input elsewhere."""
    try:
        text = roots.read_bytes(folder / "recipe.toml", _MAX_TEXT_BYTES).decode()
        return checked_recipe(tomllib.loads(text), roots), None
    except FriedelError as error:
        return None, " ".join(str(error).split())
    except ValueError as error:
        return None, f"recipe.toml is damaged ({error}). Restore it from a copy of the run."


def _named_spots(folder: Path, components: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Spots of a micrograph or a stack with the names of their components; none of a run that did not keep these.

    The components of a series have the same order in every frame, so that those of the first frame are the first rows.
    """
    store = zarr.open_group(folder / "spots.zarr", mode="r")
    if "component" not in store:
        return []
    rows, k = np.asarray(store["component"][...]), np.asarray(store["k_inv_a"][...])
    names = [components[row] if row >= 0 else {"phase": "unknown", "hkl": ""} for row in rows]
    return [
        {"k_inv_a": at, "phase": name["phase"], "hkl": name["hkl"]} for at, name in zip(k.tolist(), names, strict=True)
    ]


def _array(folder: Path, name: str, *, only_look: bool = False) -> AnyArray | None:
    group = zarr.open_group(folder / "phase_map.zarr", mode="r")
    if name not in group:
        return None
    return np.zeros(()) if only_look else np.asarray(group[name][...])


def _array_shape(folder: Path) -> tuple[int, ...]:
    shape: tuple[int, ...] = zarr.open_group(folder / "phase_map.zarr", mode="r")["presence"].shape
    return shape


def _zones(folder: Path, phases: tuple[str, ...], min_probability: float) -> list[dict[str, Any]]:
    """Count the positions of each zone axis of each phase that is present."""
    zone = _array(folder, "zone_axis")
    if zone is None:
        return []
    found: PhaseMap = load_phase_map(folder)
    here = (found.presence >= min_probability) & found.valid[..., None]
    out = []
    for p, name in enumerate(phases):
        axes, counts = np.unique(zone[here[..., p], p].reshape(-1, 3), axis=0, return_counts=True)
        out += [{"phase": name, "zone": axis.tolist(), "n": int(n)} for axis, n in zip(axes, counts, strict=True)]
    return sorted(out, key=lambda row: (row["phase"], -int(row["n"])))


def _table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
