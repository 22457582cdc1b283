"""Addresses under which the page starts runs and follows them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from friedel.core.errors import RunFolderError
from friedel.core.images import PatternScan
from friedel.pipeline.region import find_region
from friedel.web.frames import encode
from friedel.web.jobs import Job, JobQueue
from friedel.web.opened import OpenFiles
from friedel.web.partial import partial_map
from friedel.web.recipes import checked_recipe
from friedel.web.roots import Roots

#: Names of files and folders that the page makes.
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,79}")


class Strict(BaseModel):
    """A request; keys that are not known are refused."""

    model_config = ConfigDict(extra="forbid")


class RecipeRequest(Strict):
    """A recipe as plain values."""

    recipe: dict[str, Any]


class RunRequest(RecipeRequest):
    """A run, and the name of its folder."""

    name: str


def job_routes(roots: Roots, files: OpenFiles, jobs: JobQueue, runs: Path) -> APIRouter:
    """Make the addresses for running."""
    routes = APIRouter(prefix="/api/jobs")

    @routes.get("")
    def all_jobs() -> list[dict[str, Any]]:
        """List the runs that wait, are under way, or have ended."""
        return [job.facts() for job in jobs.all()]

    @routes.post("")
    def add(request: RunRequest) -> dict[str, Any]:
        """Put a run into the queue."""
        return jobs.add(checked_recipe(request.recipe, roots), runs / run_name(request.name)).facts()

    @routes.post("/{number}/cancel")
    def cancel(number: int) -> dict[str, Any]:
        """Cancel a run; what it has computed can be resumed."""
        return jobs.cancel(number).facts()

    @routes.post("/{number}/resume")
    def resume(number: int) -> dict[str, Any]:
        """Go on with a run that was cancelled or failed."""
        job = jobs.get(number)
        return jobs.add(job.recipe, job.out, resume=True).facts()

    @routes.get("/{number}/partial")
    def partial(number: int) -> Response:
        """Return what a run found so far; 204 for nothing yet."""
        body = found_so_far(jobs.get(number), files)
        return Response(body, 204 if body is None else 200, media_type="application/octet-stream")

    return routes


def found_so_far(job: Job, files: OpenFiles) -> bytes | None:
    """Pack what a run of a scan has found: spots per position, presence of each phase, and what is known.

    Returns
    -------
    bytes
        Layers (P + 2, y, x) of 0 to 255, the spots relative to the most that a position has; ``phases`` is P, which is
        0 where the phases are judged at the end, ``roi`` the region and ``known`` its share that is done. None where
        there is nothing to show yet.
    """
    opened = files.open(job.recipe.input, job.recipe.read)
    if not isinstance(opened.data, PatternScan):
        return None
    region = find_region(opened.data.scan_shape, job.recipe.region.roi, job.recipe.region.roi_mask)
    found = partial_map(job.out, opened.data, region.mask.shape, job.recipe)
    if found is None:
        return None
    seen = np.isfinite(found.n_spots)
    presence = np.zeros((0, *seen.shape)) if found.presence is None else np.nan_to_num(found.presence)
    spots = np.nan_to_num(found.n_spots) / max(float(np.nanmax(found.n_spots)), 1.0)
    layers = np.rint(255 * np.concatenate([spots[None], presence, seen[None]])).astype(np.uint8)
    roi = [list(region.rows), list(region.columns)]
    return encode(layers, phases=len(presence), roi=roi, known=float(seen.mean()))


def run_name(name: str) -> str:
    """Check the name of a run: one folder, whose name needs no quoting."""
    if not PLAIN_NAME.fullmatch(name) or name.endswith((".partial", " ")) or name == "phases":
        raise RunFolderError(f"{name!r} cannot name a run. Use letters, digits, '.', '-', '_' and '+'.")
    return name
