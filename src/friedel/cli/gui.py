"""``friedel gui``: the web page, on this machine."""

from __future__ import annotations

import contextlib
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from friedel.cli.progress import friendly_errors

if TYPE_CHECKING:
    from friedel.web.security import Access


def gui(
    path: Annotated[Path, typer.Argument(help="Folder to look at, or a file to open.")] = Path(),
    runs: Annotated[Path, typer.Option(help="Folder into which runs are written.")] = Path("friedel-runs"),
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than this machine's are open to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8765,
    base_url: Annotated[
        str | None, typer.Option(help="Address under which a proxy (JupyterHub) shows the page.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes of a run.")] = 1,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Show files, run recipes and look at results in the browser; Ctrl-C ends it."""
    from friedel.web.security import is_loopback
    from friedel.web.serve import ServeOptions, serve

    with friendly_errors(debug=debug):
        folder = path.parent if path.is_file() or path.suffix in (".zarr", ".zspy") else path
        options = ServeOptions(folder.absolute(), runs.absolute(), host, port, base_url, jobs)

        def ready(access: Access) -> None:
            address = access.url if folder == path else f"{access.url}#{path.absolute()}"
            typer.echo(f"friedel gui: {address}")
            if not is_loopback(host) and not base_url:
                typer.echo(
                    "warning: other machines can reach this, and nothing is encrypted. Prefer a tunnel: ssh -L",
                    err=True,
                )
            if browser:
                webbrowser.open(address)

        with contextlib.suppress(KeyboardInterrupt):
            serve(options, ready)
