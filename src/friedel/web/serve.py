"""Starting the server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from friedel.core.errors import FriedelError
from friedel.web.roots import Roots
from friedel.web.security import Access


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where the page is served, and what it sees.

    Parameters
    ----------
    folder
        Folder that the page may see.
    runs
        Folder into which runs are written; made if it does not exist, and seen as well.
    host, port
        Address to listen at; port 0 takes a free one.
    base_url
        Address under which a proxy shows the page.
    jobs
        Worker processes of a run.
    """

    folder: Path
    runs: Path
    host: str = "127.0.0.1"
    port: int = 0
    base_url: str | None = None
    jobs: int = 1


def serve(options: ServeOptions, ready: Callable[[Access], None]) -> None:
    """Serve the page until interrupted; ``ready`` is told the address when the server listens.

    Raises
    ------
    FriedelError
        If the extra [gui] is not installed, a folder is missing, or the address cannot be had.
    """
    try:
        import uvicorn

        from friedel.web.app import make_app
    except ModuleNotFoundError as error:
        raise FriedelError(f"The page needs more ({error}). Install it: pip install 'friedel[gui]'") from error
    try:
        options.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FriedelError(f"{options.runs}: cannot be made ({error.strerror}). Choose another --runs.") from error
    listening = _listen(options.host, options.port)
    access = Access(options.host, listening.getsockname()[1], options.base_url)
    app = make_app(access, Roots.of(options.folder, options.runs), options.runs.resolve(), workers=options.jobs)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, ws="none", server_header=False, date_header=False,
        proxy_headers=False, timeout_graceful_shutdown=2, limit_concurrency=64, h11_max_incomplete_event_size=32768,
    )  # fmt: skip
    ready(access)
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise FriedelError(
            f"{host}:{port} cannot be listened at ({error}). Choose another --port or --host."
        ) from error
    listening.listen(128)
    return listening
