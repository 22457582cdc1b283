"""``friedel phases fetch``: structures from the Materials Project and OPTIMADE servers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from friedel.cli.progress import BY_ITSELF, friendly_errors
from friedel.core.errors import FetchError

if TYPE_CHECKING:
    from friedel.crystal.fetch import Fetched
    from friedel.crystal.fetch_sources import RemoteStructure

_NO_KEY = (
    "The Materials Project needs a key: get one at https://materialsproject.org/api and set MP_API_KEY. Its OPTIMADE "
    "server needs none: --optimade https://optimade.materialsproject.org"
)


def fetch(
    optimade: Annotated[
        str | None, typer.Option("--optimade", metavar="URL", help="OPTIMADE server; default: the Materials Project.")
    ] = None,
    elements: Annotated[
        str | None, typer.Option(metavar="A,B", help="Structures of exactly these elements, such as Li,O.")
    ] = None,
    ids: Annotated[
        str | None, typer.Option(metavar="ID[,...]", help="Structures with these identifiers, such as mp-1138.")
    ] = None,
    query: Annotated[str | None, typer.Option("--filter", metavar="TEXT", help="OPTIMADE filter.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Largest number of structures.")] = 100,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to; default: your own phase library.")
    ] = None,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Seconds without an answer until a request fails.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Fetch structures as CIF files; fetched.jsonl in their folder says what came from where."""
    if sum(x is not None for x in (elements, ids, query)) != 1:
        raise typer.BadParameter("say what to fetch: one of --elements, --ids and --filter")
    if query is not None and optimade is None:
        raise typer.BadParameter("--filter is for OPTIMADE servers; pass --optimade URL too")
    wanted = _words(elements, "--elements"), _words(ids, "--ids")
    with friendly_errors(debug=debug, go_on=BY_ITSELF):
        from friedel.crystal.fetch import fetch_structures
        from friedel.crystal.library import user_folder

        folder = user_folder() if out is None else out
        structures = _ask(optimade, *wanted, query, limit, timeout_s)
        fates = fetch_structures(structures, folder, report=None if as_json else _report)
        if not fates:
            raise FetchError("No structure of the data base matches. Check --elements, --ids or --filter.")
        if not any(fate.path for fate in fates):
            raise FetchError(
                f"None of {len(fates)} structures can be used; the first, {fates[0].id}: {fates[0].problem}"
            )
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "structures": [_facts(fate) for fate in fates]}))
        return
    new = sum(fate.path is not None and not fate.was_there for fate in fates)
    typer.echo(f"{folder}: {new} new of {len(fates)} structures")


def _words(text: str | None, option: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in (text or "").split(",") if word.strip())
    if text is not None and not words:
        raise typer.BadParameter(f"{option} names nothing")
    return words


def _ask(
    optimade: str | None,
    elements: tuple[str, ...],
    ids: tuple[str, ...],
    query: str | None,
    limit: int,
    timeout_s: float,
) -> Iterator[RemoteStructure]:  # fmt: skip
    from friedel.crystal.fetch_http import HttpOptions
    from friedel.crystal.fetch_sources import (
        MATERIALS_PROJECT_URL,
        materials_project_structures,
        optimade_filter,
        optimade_structures,
    )

    options = HttpOptions(timeout_s=timeout_s)
    if optimade is not None:
        return optimade_structures(optimade, query or optimade_filter(elements, ids), limit, options)
    key = os.environ.get("MP_API_KEY", "").strip()
    if not key:
        raise FetchError(_NO_KEY)
    url = os.environ.get("MP_API_ENDPOINT") or MATERIALS_PROJECT_URL
    return materials_project_structures(key, elements, ids, limit, url=url, options=options)


def _report(fate: Fetched) -> None:
    if fate.path is None:
        typer.echo(f"{fate.id}: left out, because {fate.problem}", err=True)
    elif fate.was_there:
        typer.echo(f"{fate.id}: is there already")
    else:
        typer.echo(f"{fate.path.stem}: {fate.formula}, {fate.space_group}")


def _facts(fate: Fetched) -> dict[str, object]:
    return {
        "id": fate.id,
        "file": None if fate.path is None else str(fate.path),
        "formula": fate.formula,
        "space_group": fate.space_group,
        "problem": fate.problem,
        "was_there": fate.was_there,
    }
