"""Addresses under which the page finds phases, makes recipes and tries them."""

from __future__ import annotations

import tempfile
import threading
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from friedel.core.errors import CalibrationError, CrystalError, DataError, FriedelError, RecipeError
from friedel.core.images import PatternScan
from friedel.crystal import Crystal, chemical_formula, load_phase, phase_names, read_cif
from friedel.pipeline.recipe import dump_recipe, parse_recipe, with_full_paths
from friedel.web.opened import OpenFiles
from friedel.web.preview import preview_pattern, preview_square
from friedel.web.recipes import checked_recipe, command_of, python_of
from friedel.web.roots import Roots
from friedel.web.running import PLAIN_NAME, RecipeRequest, RunRequest, Strict, run_name

#: Largest CIF file and recipe that are taken.
MAX_TEXT_BYTES = 2**20


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


class TomlRequest(Strict):
    """A recipe as TOML."""

    toml: Annotated[str, Field(max_length=MAX_TEXT_BYTES)]


def analyse_routes(roots: Roots, files: OpenFiles, runs: Path) -> APIRouter:
    """Make the addresses for choosing phases, making recipes and trying them."""
    routes = APIRouter(prefix="/api")
    _add_phases(routes, runs)
    _add_recipes(routes, roots, runs)
    _add_preview(routes, roots, files)
    return routes


def _add_phases(routes: APIRouter, runs: Path) -> None:
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


def _add_recipes(routes: APIRouter, roots: Roots, runs: Path) -> None:
    @routes.post("/recipe/check")
    def check(request: RecipeRequest) -> dict[str, Any]:
        """Check a recipe; return it whole, and as TOML."""
        recipe = checked_recipe(request.recipe, roots)
        return {"recipe": recipe.model_dump(mode="json", exclude_none=True), "toml": dump_recipe(recipe)}

    @routes.post("/recipe/load")
    def load(request: TomlRequest) -> dict[str, Any]:
        """Read a recipe that the page was given; paths in it are relative to the first folder that the page may see."""
        written = with_full_paths(parse_recipe(recipe_values(request.toml)), roots.folders[0])
        made = checked_recipe(written.model_dump(mode="json", exclude_none=True), roots)
        return {"recipe": made.model_dump(mode="json", exclude_none=True)}

    @routes.post("/repeat")
    def repeat(request: RunRequest) -> dict[str, str]:
        """Write the command and the Python that make a run without the page."""
        made, run = checked_recipe(request.recipe, roots), runs / run_name(request.name)
        return {"command": command_of(made, run), "python": python_of(made, run)}


def _add_preview(routes: APIRouter, roots: Roots, files: OpenFiles) -> None:
    one_at_a_time = threading.Lock()

    @routes.post("/open/{name}/preview")
    def preview(name: str, request: PatternPreview | SquarePreview) -> Response:
        """Try a recipe on one pattern or square."""
        made, opened = checked_recipe(request.recipe, roots), files.get(name)
        if opened.problem:
            raise CalibrationError(opened.problem)
        with one_at_a_time:
            if isinstance(request, SquarePreview):
                micrograph = opened.micrograph(request.frame)
                body = preview_square(micrograph, made, request.y0, request.x0, request.side)
            elif isinstance(opened.data, PatternScan):
                body = preview_pattern(opened.data, made, request.y, request.x)
            else:
                raise DataError("A position is that of a scan. Drag a square on the micrograph instead.")
        return Response(body, media_type="application/octet-stream")


def keep_cif(folder: Path, name: str, body: bytes) -> Path:
    """Check a CIF file that was sent, and keep it; one of the same name and content is used again.

    Raises
    ------
    CrystalError, FileError
        If it is no crystal structure, its name is no name, or another one of that name is there.
    """
    stem = Path(name).name.removesuffix(".cif")
    if not PLAIN_NAME.fullmatch(stem):
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


def recipe_values(toml: str) -> dict[str, Any]:
    """Read TOML; RecipeError says where it is broken."""
    try:
        return tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(
            f"This is not valid TOML: {error}. Choose a recipe, such as the recipe.toml of a run."
        ) from error
