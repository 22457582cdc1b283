"""Many inputs of ``friedel map``: globs, one line per file, and an exit code that tells of failures."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from friedel.cli.kinds import warn_of_ignored
from friedel.cli.progress import progress_bars

if TYPE_CHECKING:
    from friedel.pipeline.batches.batch import BatchEntry
    from friedel.pipeline.recipe import Recipe
    from friedel.pipeline.run import RunOptions


def inputs_of(words: Sequence[str]) -> tuple[list[str], bool]:
    """Return the files that are meant, and whether they are a batch: several words, or a pattern like ``*.mrc``."""
    from friedel.core.errors import FileError

    found: list[str] = []
    is_batch = len(words) > 1
    for word in words:
        if Path(word).exists() or not glob.has_magic(word):
            found.append(word)
            continue
        is_batch = True
        matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 - the pattern may be absolute
        if not matches:
            raise FileError(word, "no file fits this pattern", "Check the folder, and quote the pattern.")
        found += matches
    return list(dict.fromkeys(found)), is_batch


def map_many(
    paths: Sequence[str],
    recipe_for: Callable[[str], Recipe],
    out: Path,
    options: RunOptions,
    passed: Sequence[str] = (),
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Map many files, say what became of each, and leave with code 1 if one failed.

    A phase that is not known is an error of all of them, and nothing is begun. Options in ``passed`` that none of the
    files takes are told.
    """
    from friedel.pipeline.batches.batch import folder_names, run_batch
    from friedel.pipeline.batches.report import write_batch
    from friedel.pipeline.recipe import phases_of

    absolute = [Path(path).absolute() for path in paths]
    recipes = {name: recipe_for(path) for name, path in zip(folder_names(absolute), paths, strict=True)}
    phases_of(next(iter(recipes.values())))
    with progress_bars(quiet=quiet or as_json) as progress:

        def tell(entry: BatchEntry, done: int, total: int) -> None:
            progress("files", done, total)
            say_entry(entry, out, as_json=as_json, quiet=quiet)

        entries = run_batch(recipes, out, options, tell)
    write_batch(out, entries, next(iter(recipes.values())).min_probability)
    failed = sum(entry.summary is None for entry in entries)
    if not quiet:
        for warning in warn_of_ignored(passed, {entry.summary.kind for entry in entries if entry.summary}):
            typer.echo(f"warning: {warning}", err=True)
    if not as_json and not quiet:
        typer.echo(f"report: {out / 'report.html'}")
    if failed:
        typer.echo(
            f"error: {failed} of {len(entries)} files could not be mapped; {out / 'batch.csv'} says why.", err=True
        )
        raise typer.Exit(1)


def say_entry(entry: BatchEntry, out: Path, *, as_json: bool, quiet: bool) -> None:
    """Say what became of one file: a line of JSON, or of shares; failures go to stderr."""
    if as_json:
        facts = {"error": entry.error} if entry.summary is None else asdict(entry.summary)
        typer.echo(json.dumps({"run": str(out / entry.name), "input": entry.input, **facts}, default=float))
    elif entry.summary is None:
        where = "" if entry.error.startswith(entry.input) else f"{entry.input}: "
        typer.echo(f"failed: {where}{entry.error}", err=True)
    elif not quiet:
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in entry.summary.fractions.items())
        typer.echo(f"{entry.name}: {shares}")
