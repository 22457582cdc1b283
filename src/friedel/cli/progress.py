"""Progress on the terminal, and the one way out for errors."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from friedel.core.errors import FriedelError

#: How an interrupted command goes on.
WITH_RESUME, BY_ITSELF = "go on with --resume", "the same command goes on where it was"


@contextlib.contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar per step on stderr; on something that is no terminal, or with ``quiet``, show nothing."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bars:
        tasks = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield show


@contextlib.contextmanager
def friendly_errors(*, debug: bool, go_on: str = "") -> Iterator[None]:
    """Turn an error that friedel raises on purpose into one line on stderr and exit code 1.

    ``go_on``: how a command that was interrupted continues; empty if it starts anew.
    """
    try:
        yield
    except typer.Exit:
        raise
    except FriedelError as error:
        if debug:
            raise
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(1) from None
    except Exception as error:
        if debug:
            raise
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        typer.echo(f"error: friedel failed ({what}). This is a fault of friedel; --debug shows where.", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {go_on}" if go_on else "interrupted", err=True)
        sys.exit(130)
