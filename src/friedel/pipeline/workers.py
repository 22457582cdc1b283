"""Workers: processes of this machine, or those of a Dask scheduler."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor

from friedel.core.errors import FriedelError


@contextlib.contextmanager
def workers(jobs: int, scheduler: str | None) -> Iterator[Executor | None]:
    """Provide an executor: None for one job in this process, a process pool, or a Dask cluster's.

    Parameters
    ----------
    jobs
        Local processes.
    scheduler
        Address of a Dask scheduler, such as ``tcp://host:8786``; ``jobs`` is then ignored.

    Raises
    ------
    FriedelError
        If the scheduler cannot be reached within ten seconds.
    """
    if scheduler is not None:
        from distributed import Client

        try:
            client = Client(scheduler, timeout="10s")
        except (OSError, ValueError) as error:
            raise FriedelError(
                f"No Dask scheduler answers at {scheduler} ({error}). Start one, or use --jobs."
            ) from error
        with client:
            yield client.get_executor()
    elif jobs > 1:
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("forkserver")) as pool:
            yield pool
    else:
        yield None
