"""Runs that the page asked for: one at a time, each in a process of its own, the others in a queue."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from friedel.core.errors import FriedelError, RunFolderError
from friedel.pipeline.recipe import Recipe
from friedel.web.recipes import command_of

#: What makes a run: it is told the job as a line on stdin, and tells its progress as lines on stdout.
WORKER = (sys.executable, "-P", "-m", "friedel.web.worker")
#: Jobs that may wait, and ended ones that are remembered.
MAX_WAITING, MAX_REMEMBERED = 16, 50
#: Seconds that a cancelled run is given to leave what can be resumed.
_GRACE_S = 8.0


@dataclass(slots=True, eq=False)
class Job:
    """One run, as the page sees it; changed by the queue alone.

    Parameters
    ----------
    state
        "waiting", "running", "done", "failed" or "cancelled".
    steps
        What was done of each step, in the order in which they began.
    is_unwanted
        Whether it was cancelled, or the queue closed; a run that ends otherwise without a summary has failed.
    """

    id: int
    recipe: Recipe
    out: Path
    resume: bool
    state: str = "waiting"
    steps: dict[str, tuple[int, int]] = field(default_factory=dict)
    error: str | None = None
    summary: dict[str, Any] | None = None
    started_s: float | None = None
    ended_s: float | None = None
    process: subprocess.Popen[str] | None = None
    is_unwanted: bool = False

    def facts(self) -> dict[str, Any]:
        """Return what the page shows of it."""
        return {
            "id": self.id,
            "name": self.out.name,
            "out": str(self.out),
            "input": self.recipe.input,
            "phases": self.recipe.phases,
            "state": self.state,
            "steps": [{"step": step, "done": done, "total": total} for step, (done, total) in self.steps.items()],
            "error": self.error,
            "summary": self.summary,
            "seconds": None if self.started_s is None else (self.ended_s or time.time()) - self.started_s,
        }


class JobQueue:
    """The queue; ``close`` ends the run that is under way."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def add(self, recipe: Recipe, out: Path, *, resume: bool = False) -> Job:
        """Put a run into the queue; RunFolderError if the queue is full or another job writes there."""
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                raise RunFolderError(f"{MAX_WAITING} runs are waiting already. Let some end, or cancel some.")
            if any(job.out == out and job.state in ("waiting", "running") for job in self._jobs.values()):
                raise RunFolderError(f"{out.name} is being made already. Choose another name.")
            job = Job(max(self._jobs, default=0) + 1, recipe, out, resume)
            self._jobs[job.id] = job
            self._waiting.append(job)
            ended = [i for i, j in self._jobs.items() if j.state not in ("waiting", "running")]
            for i in ended[:-MAX_REMEMBERED]:
                del self._jobs[i]
            self._changed.notify()
        return job

    def all(self) -> list[Job]:
        """Return all jobs, newest first."""
        with self._changed:
            return sorted(self._jobs.values(), key=lambda job: -job.id)

    def get(self, number: int) -> Job:
        """Return a job."""
        with self._changed:
            if number not in self._jobs:
                raise FriedelError(f"There is no job {number} any more. Reload the page.")
            return self._jobs[number]

    def cancel(self, number: int) -> Job:
        """Take a job out of the queue, or interrupt it; what it has computed can be resumed."""
        job = self.get(number)
        with self._changed:
            job.is_unwanted = True
            if job.state == "waiting":
                self._waiting.remove(job)
                job.state = "cancelled"
            process = job.process if job.state == "running" else None
        if process is not None:
            threading.Thread(target=_end, args=(process,), daemon=True).start()
        return job

    def close(self) -> None:
        """Interrupt what runs, and start nothing more."""
        with self._changed:
            self._closed = True
            running = [job for job in self._jobs.values() if job.state == "running"]
            self._changed.notify()
        for job in running:
            job.is_unwanted = True
            if job.process is not None:
                _end(job.process)
        self._thread.join(timeout=2.0)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._waiting))
                if self._closed:
                    return
                job = self._waiting.popleft()
                job.state, job.started_s = "running", time.time()
            try:
                self._run(job)
            except Exception as error:  # noqa: BLE001 - told to the page; the queue goes on
                job.error = f"The run could not be started ({error})."
            with self._changed:
                job.ended_s = time.time()
                if job.state == "running":
                    job.state = "done" if job.summary else "cancelled" if job.is_unwanted else "failed"

    def _run(self, job: Job) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        job.process = subprocess.Popen(
            WORKER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment,
        )
        if job.is_unwanted:  # cancelled while the process was started
            threading.Thread(target=_end, args=(job.process,), daemon=True).start()
        assert job.process.stdin is not None
        assert job.process.stdout is not None
        task = {
            "recipe": job.recipe.model_dump(mode="json", exclude_none=True),
            "out": str(job.out),
            "jobs": self._workers,
            "resume": job.resume,
            "command": shlex.split(command_of(job.recipe, job.out)),
        }
        with job.process:
            job.process.stdin.write(json.dumps(task) + "\n")
            job.process.stdin.flush()
            for line in job.process.stdout:
                _hear(job, json.loads(line))
            code = job.process.wait()
        if job.summary is None and job.error is None:
            killed = code == -signal.SIGKILL and not job.is_unwanted
            job.error = "The run was killed. Is the memory full?" if killed else f"The run ended early (code {code})."


def _hear(job: Job, facts: dict[str, Any]) -> None:
    if "step" in facts:
        job.steps[facts["step"]] = (facts["done"], facts["total"])
    job.summary = facts.get("summary", job.summary)
    job.error = facts.get("error", job.error)


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt a run, and end it with all that it started if it does not listen."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
