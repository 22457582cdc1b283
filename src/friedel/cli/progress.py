"""Progress on the terminal, and the one way out for errors."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

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
    except (typer.Exit, BrokenPipeError):  # whoever reads the output has seen enough; typer ends in silence
        raise
    except FriedelError as error:
        if debug:
            raise
        typer.echo(f"error: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(1) from None
    except Exception as error:
        if debug:
            raise
        fault = f"friedel failed ({type(error).__name__}: {' '.join(str(error).split())}). This is a fault of friedel; "
        said = _refusal_of_the_system(error) if isinstance(error, OSError) else ""
        typer.echo(f"error: {said or fault + '--debug shows where.'}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo(f"interrupted; {go_on}" if go_on else "interrupted", err=True)
        sys.exit(130)


def _refusal_of_the_system(error: OSError) -> str:
    """Say where the operating system does not let this user write, and why; nothing if the error is of another kind."""
    where = Path(error.filename).parent if error.filename else "writing"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{where}: this user may not write there ({error.strerror}). Choose another --out."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{where}: the disk is full. Free some space, or choose another --out."
    return ""
