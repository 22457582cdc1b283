"""Workers: processes of this machine, or those of a Dask scheduler."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from typing import TypeVar

from friedel.core.errors import FriedelError

#: A queue may take its time to start the workers that were asked for.
_WAIT_FOR_WORKERS_S = 300
#: More processes than this for each core of the machine only wait for each other.
_MOST_PER_CORE = 4
#: Workers of a cluster for which blocks are kept in flight, however few there are at the start.
_FEWEST_FED = 32

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], executor: Executor | None
) -> Iterator[tuple[Item, Result]]:
    """Apply a function to items and yield each with its result, in order; two items per worker are in flight."""
    if executor is None:
        for item in items:
            yield item, function(item)
        return
    ahead = 2 * int(getattr(executor, "_max_workers", 0) or 8)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        waiting.append((item, executor.submit(function, item)))
        if len(waiting) >= ahead:
            done, future = waiting.popleft()
            yield done, future.result()
    for done, future in waiting:
        yield done, future.result()


def ask_worker(function: Callable[[Item], Result], item: Item, executor: Executor | None) -> Result:
    """Apply a function where the work is done: in this process, or in one of the workers."""
    return function(item) if executor is None else executor.submit(function, item).result()


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
        If the scheduler cannot be reached within ten seconds, or has no worker after five minutes.
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
            try:
                client.wait_for_workers(1, timeout=_WAIT_FOR_WORKERS_S)
            except TimeoutError as error:
                raise FriedelError(
                    f"The Dask scheduler at {scheduler} has had no worker for {_WAIT_FOR_WORKERS_S} s. "
                    f"Start some, with the same friedel: dask worker {scheduler} --nthreads 1"
                ) from error
            executor = client.get_executor()
            # What is in flight follows from this number, as that of a process pool; more workers may join later.
            executor._max_workers = max(_FEWEST_FED, sum(client.nthreads().values()))
            yield executor
    elif jobs > 1:
        with ProcessPoolExecutor(
            min(jobs, _MOST_PER_CORE * (os.cpu_count() or 1)), mp_context=multiprocessing.get_context("forkserver")
        ) as pool:
            yield pool
    else:
        yield None
