"""Addresses under which the page finds folders, files, patterns and pictures."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from friedel.core.arrays import AnyArray
from friedel.core.errors import DataError
from friedel.core.images import Micrograph, MicrographSeries, PatternScan
from friedel.patterns.diffractogram import diffractogram
from friedel.pipeline.runs.files import plain_values
from friedel.web.frames import binned, encode
from friedel.web.opened import Opened, OpenFiles, read_options
from friedel.web.roots import Roots

#: Sides of the square that a live FFT is made of.
MIN_FFT_PX, MAX_FFT_PX = 32, 2048
#: Largest picture that travels, pixels.
MAX_PICTURE_PX = 4 * 2**20
#: Black and white of a spectrum are those of so many pixels along each side.
_SAMPLED_SIDE_PX = 256

Tag = Annotated[str | None, Header(alias="If-None-Match")]
Index = Annotated[int, Query(ge=0)]


class OpenRequest(BaseModel):
    """Which file to open, and what the user knows better than it."""

    model_config = ConfigDict(extra="forbid")

    path: Annotated[str, Field(max_length=4096)]
    read: dict[str, Any] = {}


def browse_routes(roots: Roots, files: OpenFiles) -> APIRouter:
    """Make the addresses for looking at files."""
    routes = APIRouter(prefix="/api")
    _add_files(routes, roots, files)
    _add_scans(routes, files)
    _add_micrographs(routes, files)
    return routes


def _add_files(routes: APIRouter, roots: Roots, files: OpenFiles) -> None:
    @routes.get("/folder")
    def folder(path: str = "") -> dict[str, Any]:
        """List a folder; without a path, the roots."""
        if not path:
            return {"path": "", "parent": None, "entries": [_root_entry(root) for root in roots.folders]}
        real, entries = roots.listing(path)
        parent = "" if real in roots.folders else str(real.parent)
        return {"path": str(real), "parent": parent, "entries": [asdict(entry) for entry in entries]}

    @routes.post("/open")
    def open_file(request: OpenRequest) -> dict[str, Any]:
        """Open a file and describe it."""
        return describe(files.open(request.path, read_options(request.read)))


def _add_scans(routes: APIRouter, files: OpenFiles) -> None:
    @routes.get("/open/{name}/virtual")
    def virtual(name: str, inner_px: float, outer_px: float, tag: Tag = None) -> Response:
        """Light in an annulus at every position, as far as the scan was read."""
        one = files.get(name)
        if one.scan is None:
            raise DataError("A virtual image is made of a scan.")
        sums = one.scan.sums
        rows = sums.rows_done
        etag = _etag(name, "virtual", inner_px, outer_px, rows)
        if tag == etag:
            return Response(status_code=304)
        image = sums.image(inner_px, outer_px)
        return _picture(encode(image, seen=image[:rows], rows_done=rows, problem=sums.problem), etag)

    @routes.get("/open/{name}/pattern")
    def pattern(
        name: str, y: Index, x: Index, y1: int | None = None, x1: int | None = None, tag: Tag = None
    ) -> Response:
        """Return the pattern of a position, or the mean over the rectangle y:y1, x:x1."""
        etag = _etag(name, "pattern", y, x, y1, x1)
        if tag == etag:
            return Response(status_code=304)
        image, n = files.get(name).pattern((y, y1 or y + 1), (x, x1 or x + 1))
        return _picture(encode(image, averaged=n), etag)

    @routes.get("/open/{name}/mean")
    def mean(name: str) -> Response:
        """Return the mean pattern of a sample of positions."""
        one = files.get(name)
        if one.scan is None:
            raise DataError("A mean pattern is that of a scan.")
        return _picture(encode(one.scan.mean_pattern.astype(np.float32)), _etag(name, "mean"))


def _add_micrographs(routes: APIRouter, files: OpenFiles) -> None:
    @routes.get("/open/{name}/picture")
    def picture(
        name: str, y0: Index = 0, x0: Index = 0, y1: int | None = None, x1: int | None = None,
        factor: Annotated[int, Query(ge=1, le=64)] = 1, frame: Index = 0, tag: Tag = None,
    ) -> Response:  # fmt: skip
        """Return a part of a micrograph, binned by a factor."""
        etag = _etag(name, "picture", y0, x0, y1, x1, factor, frame)
        if tag == etag:
            return Response(status_code=304)
        part = files.get(name).micrograph(frame).data[y0:y1, x0:x1]
        if min(part.shape) < factor or part.size / factor**2 > MAX_PICTURE_PX:
            raise DataError(f"A part of {part.shape} pixels at 1:{factor} is too small or too large to be sent.")
        return _picture(encode(binned(part, factor)), etag)

    @routes.get("/open/{name}/fft")
    def fft(name: str, y0: int, x0: int, side: int, frame: Index = 0, tag: Tag = None) -> Response:
        """Power spectrum of a square of a micrograph, as a logarithm."""
        etag = _etag(name, "fft", y0, x0, side, frame)
        if tag == etag:
            return Response(status_code=304)
        spectrum, grid = fft_of(files.get(name).micrograph(frame), y0, x0, side)
        window = spectrum_window(spectrum)
        return _picture(encode(spectrum, window=window, step_inv_a=grid[0], centre_px=grid[1]), etag)


def fft_of(
    micrograph: Micrograph, y0: int, x0: int, side: int
) -> tuple[AnyArray, tuple[tuple[float, float], tuple[float, float]]]:
    """Logarithm of the power of a square of a micrograph (side, side), its step (1/Å) and its centre."""
    if not MIN_FFT_PX <= side <= MAX_FFT_PX:
        raise DataError(f"The square of an FFT has {MIN_FFT_PX} to {MAX_FFT_PX} pixels a side, got {side}.")
    if not (0 <= y0 <= micrograph.shape[0] - side and 0 <= x0 <= micrograph.shape[1] - side):
        raise DataError(f"The square at {y0}, {x0} of {side} leaves the image of {micrograph.shape}.")
    part = Micrograph(micrograph.data[y0 : y0 + side, x0 : x0 + side], micrograph.grid, micrograph.beam)
    power = diffractogram(part)
    floor = np.finfo(np.float32).tiny
    return np.log10(np.maximum(power.data, floor)), (power.grid.step_inv_a, power.grid.centre_px)


def spectrum_window(log_power: AnyArray) -> tuple[float, float]:
    """Black and white for a spectrum: most of it is noise, and what counts are the few pixels above."""
    every = max(1, min(log_power.shape) // _SAMPLED_SIDE_PX)
    black, white = np.quantile(log_power[::every, ::every], (0.5, 0.9995))
    return float(black), float(max(white, black + 1.0))


def describe(opened: Opened) -> dict[str, Any]:
    """Say of an open file what the page needs to show it."""
    data, info = opened.data, opened.info
    facts: dict[str, Any] = {
        "id": opened.id,
        "path": str(opened.pinned.path),
        "name": opened.pinned.path.name,
        "kind": info.kind,
        "format": info.format_name,
        "shape": info.shape,
        "dtype": np.dtype(info.dtype).name,
        "energy_kev": info.energy_kev,
        "missing": info.missing,
        "notes": info.notes,
        "problem": opened.problem,
    }
    if isinstance(data, PatternScan):
        assert opened.scan is not None
        scan_step = data.scan_grid.step_a if data.scan_grid else None
        facts |= {
            "scan_shape": data.scan_shape,
            "pattern_shape": data.pattern_shape,
            "step_inv_a": data.grid.step_inv_a,
            "step_source": data.grid.source,
            "step_relative_sigma": data.grid.relative_sigma,
            "scan_step_a": scan_step,
            "centre_px": opened.scan.centre_px,
            "centre_source": opened.scan.centre_source,
            "reach_px": opened.scan.sums.reach_px,
        }
    else:
        shape = data.shape if isinstance(data, Micrograph) else tuple(data.data.shape[1:])
        facts |= {
            "image_shape": shape,
            "step_a": data.grid.step_a,
            "step_source": data.grid.source,
            "n_frames": data.data.shape[0] if isinstance(data, MicrographSeries) else 1,
            "time_s": None if isinstance(data, Micrograph) or data.time_s is None else data.time_s.tolist(),
        }
    out: dict[str, Any] = plain_values(facts)
    return out


def _root_entry(root: Path) -> dict[str, Any]:
    return {"name": str(root), "path": str(root), "kind": "folder", "size": 0, "changed_s": root.stat().st_mtime}


def _etag(*parts: object) -> str:
    return '"' + hashlib.sha256(repr(parts).encode()).hexdigest()[:24] + '"'


def _picture(body: bytes, etag: str) -> Response:
    return Response(body, media_type="application/octet-stream", headers={"ETag": etag, "Cache-Control": "no-cache"})
