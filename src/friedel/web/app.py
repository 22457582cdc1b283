"""The application: the page's own files, and the addresses it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from friedel.core.errors import FileNotPermittedError, FriedelError
from friedel.web.analyse import analyse_routes
from friedel.web.browse import browse_routes
from friedel.web.jobs import JobQueue
from friedel.web.opened import ClosedError, OpenFiles
from friedel.web.results import result_routes
from friedel.web.roots import Roots
from friedel.web.running import job_routes
from friedel.web.security import Access, App, Guard

STATIC = Path(__file__).parent / "static"


def make_app(access: Access, roots: Roots, runs: Path, *, workers: int = 1) -> App:
    """Make the guarded application.

    Parameters
    ----------
    roots
        Folders that the page may see, that of the runs among them.
    runs
        Folder into which runs are written.
    workers
        Processes of a run.
    """
    files, jobs = OpenFiles(roots), JobQueue(workers)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        jobs.close()
        files.close()

    app = FastAPI(lifespan=life, docs_url=None, redoc_url=None, openapi_url=None, root_path=access.root_path)
    app.include_router(browse_routes(roots, files))
    app.include_router(analyse_routes(roots, files, runs))
    app.include_router(job_routes(roots, files, jobs, runs))
    app.include_router(result_routes(roots, runs))

    app.mount("/", StaticFiles(directory=STATIC, html=True, check_dir=False), name="static")
    app.add_exception_handler(FriedelError, _friendly)
    app.add_exception_handler(RequestValidationError, _wrong_request)
    app.add_exception_handler(Exception, _fault)
    return Guard(app, access)


def _friendly(request: Request, error: Exception) -> JSONResponse:
    """Show an error that friedel raises on purpose: its text is meant for the user."""
    status = 410 if isinstance(error, ClosedError) else 403 if isinstance(error, FileNotPermittedError) else 400
    return JSONResponse({"error": " ".join(str(error).split())}, status)


def _wrong_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
    return JSONResponse({"error": f"The page asked wrongly: {'; '.join(lines)}. Reload it."}, 422)


def _fault(request: Request, error: Exception) -> JSONResponse:
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return JSONResponse(
        {"error": f"friedel failed ({what}). This is a fault of friedel; its terminal shows where."}, 500
    )
