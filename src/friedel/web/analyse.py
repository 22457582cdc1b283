"""Addresses under which the page finds phases, tries settings, and starts runs."""

from __future__ import annotations

import re
import tempfile
import threading
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from friedel.core.errors import CrystalError, DataError, FriedelError, RecipeError, RunFolderError
from friedel.core.images import PatternScan
from friedel.crystal import Crystal, chemical_formula, load_phase, phase_names, read_cif
from friedel.pipeline.recipe import dump_recipe, parse_recipe
from friedel.pipeline.region import find_region
from friedel.web.frames import encode
from friedel.web.jobs import JobQueue
from friedel.web.opened import OpenFiles
from friedel.web.partial import partial_map
from friedel.web.preview import preview_pattern, preview_square
from friedel.web.recipes import checked_recipe, command_of, python_of
from friedel.web.roots import Roots

#: Largest CIF file and recipe that are taken.
MAX_TEXT_BYTES = 2**20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+ -]{0,79}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RecipeRequest(_Strict):
    """A recipe as plain values."""

    recipe: dict[str, Any]


class PatternPreview(RecipeRequest):
    """Which position to try a recipe on."""

    y: int
    x: int


class SquarePreview(RecipeRequest):
    """Which square of a micrograph to try a recipe on."""

    y0: int
    x0: int
    side: int
    frame: Annotated[int, Field(ge=0)] = 0


class TomlRequest(_Strict):
    """A recipe as TOML."""

    toml: Annotated[str, Field(max_length=MAX_TEXT_BYTES)]


class JobRequest(RecipeRequest):
    """A run to put into the queue, and the name of its folder."""

    name: str
    resume: bool = False


def analyse_routes(roots: Roots, files: OpenFiles, jobs: JobQueue, runs: Path) -> APIRouter:
    """Make the addresses for analysing."""
    routes = APIRouter(prefix="/api")
    one_at_a_time = threading.Lock()

    @routes.get("/phases")
    def phases() -> list[dict[str, Any]]:
        """List the library."""
        return [dict(_facts(name)) for name in phase_names()]

    @routes.post("/cif")
    async def cif(name: str, request: Request) -> dict[str, Any]:
        """Take a CIF file, check it, and keep it with the runs."""
        body = await request.body()
        path = keep_cif(runs / "phases", name, body)
        return {**crystal_facts(read_cif(path)), "name": str(path)}

    @routes.post("/recipe/check")
    def check(request: RecipeRequest) -> dict[str, Any]:
        """Check a recipe; return it whole, and as TOML."""
        recipe = checked_recipe(request.recipe, roots)
        return {"recipe": recipe.model_dump(mode="json", exclude_none=True), "toml": dump_recipe(recipe)}

    @routes.post("/recipe/load")
    def load(request: TomlRequest) -> dict[str, Any]:
        """Read a recipe that the page was given; paths in it are relative to the first folder that the page may see."""
        made = checked_recipe(_absolute(recipe_values(request.toml), roots.folders[0]), roots)
        return {"recipe": made.model_dump(mode="json", exclude_none=True)}

    @routes.post("/repeat")
    def repeat(request: JobRequest) -> dict[str, str]:
        """Write the command and the Python that make a run without the page."""
        made, run = checked_recipe(request.recipe, roots), runs / _run_name(request.name)
        return {"command": command_of(made, run), "python": python_of(made, run)}

    @routes.post("/open/{name}/preview")
    def preview(name: str, request: PatternPreview | SquarePreview) -> Response:
        """Try a recipe on one pattern or square."""
        made, opened = checked_recipe(request.recipe, roots), files.get(name)
        with one_at_a_time:
            if isinstance(request, SquarePreview):
                micrograph = opened.micrograph(request.frame)
                body = preview_square(micrograph, made, request.y0, request.x0, request.side)
            elif isinstance(opened.data, PatternScan):
                body = preview_pattern(opened.data, made, request.y, request.x)
            else:
                raise DataError("A position is that of a scan. Drag a square on the micrograph instead.")
        return Response(body, media_type="application/octet-stream")

    @routes.get("/jobs")
    def all_jobs() -> list[dict[str, Any]]:
        """List the runs that wait, are under way, or have ended."""
        return [job.facts() for job in jobs.all()]

    @routes.post("/jobs")
    def add_job(request: JobRequest) -> dict[str, Any]:
        """Put a run into the queue."""
        made = checked_recipe(request.recipe, roots)
        return jobs.add(made, runs / _run_name(request.name), resume=request.resume).facts()

    @routes.post("/jobs/{number}/cancel")
    def cancel(number: int) -> dict[str, Any]:
        """Cancel a run; what it has computed can be resumed."""
        return jobs.cancel(number).facts()

    @routes.get("/jobs/{number}/partial")
    def partial(number: int) -> Response:
        """Return what a run found so far: spots per position, presence of each phase, what is known; 204 for none."""
        job = jobs.get(number)
        opened = files.open(job.recipe.input, job.recipe.read)
        if not isinstance(opened.data, PatternScan):
            return Response(status_code=204)
        region = find_region(opened.data.scan_shape, job.recipe.region.roi, job.recipe.region.roi_mask)
        found = partial_map(job.out, opened.data, region.mask.shape, job.recipe)
        if found is None:
            return Response(status_code=204)
        seen = np.isfinite(found.n_spots)
        presence = np.zeros((0, *seen.shape)) if found.presence is None else np.nan_to_num(found.presence)
        spots = np.nan_to_num(found.n_spots) / max(float(np.nanmax(found.n_spots)), 1.0)
        layers = np.rint(255 * np.concatenate([spots[None], presence, seen[None]])).astype(np.uint8)
        roi = [list(region.rows), list(region.columns)]
        return Response(
            encode(layers, phases=len(presence), roi=roi, known=float(seen.mean())),
            media_type="application/octet-stream",
        )

    return routes


def keep_cif(folder: Path, name: str, body: bytes) -> Path:
    """Check a CIF file that was sent, and keep it; one of the same name and content is used again.

    Raises
    ------
    CrystalError, FileError
        If it is no crystal structure, its name is no name, or another one of that name is there.
    """
    stem = Path(name).name.removesuffix(".cif")
    if not _NAME.fullmatch(stem):
        raise CrystalError(
            f"{name!r} cannot name a phase: use letters, digits, '.', '-', '_' and '+'. Rename the file."
        )
    if len(body) > MAX_TEXT_BYTES:
        raise CrystalError(f"{name} has more than {MAX_TEXT_BYTES} bytes, too many for one crystal structure.")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{stem}.cif"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
        tried = Path(scratch) / target.name
        tried.write_bytes(body)
        read_cif(tried)
        if target.exists() and target.read_bytes() != body:
            raise CrystalError(f"Another structure was sent as {target.name} before. Rename this one.")
        tried.replace(target)
    return target


def crystal_facts(crystal: Crystal) -> dict[str, Any]:
    """Return what the list of phases shows of a crystal."""
    return {
        "name": crystal.name,
        "title": crystal.name,
        "formula": chemical_formula(crystal),
        "space_group": crystal.space_group.symbol,
        "cell": [round(value, 4) for value in crystal.cell],
    }


@lru_cache(maxsize=1024)
def _facts(name: str) -> tuple[tuple[str, Any], ...]:
    try:
        return tuple(crystal_facts(load_phase(name)).items())
    except FriedelError as error:
        return tuple(
            {"name": name, "title": name, "formula": f"unreadable: {error}", "space_group": "", "cell": []}.items()
        )


def _run_name(name: str) -> str:
    """Check the name of a run: one folder, whose name needs no quoting."""
    if not _NAME.fullmatch(name) or name.endswith((".partial", " ")) or name == "phases":
        raise RunFolderError(f"{name!r} cannot name a run. Use letters, digits, '.', '-', '_' and '+'.")
    return name


def recipe_values(toml: str) -> dict[str, Any]:
    """Read TOML; RecipeError says where it is broken."""
    try:
        return tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(
            f"This is not valid TOML: {error}. Choose a recipe, such as the recipe.toml of a run."
        ) from error


def _absolute(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths of a recipe, which are relative to its folder, absolute."""
    recipe = parse_recipe(values)
    out = {**values, "input": str(folder / recipe.input)}
    out["phases"] = [str(folder / p) if p.lower().endswith(".cif") else p for p in recipe.phases]
    if recipe.region.roi_mask is not None:
        out["region"] = {**values["region"], "roi_mask": str(folder / recipe.region.roi_mask)}
    return out
