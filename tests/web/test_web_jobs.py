"""The queue of runs: order, limits, cancelling, and workers that do not behave."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from friedel.core.errors import FriedelError, RunFolderError
from friedel.pipeline.recipe import Recipe, parse_recipe
from friedel.web import jobs as jobs_module
from friedel.web.jobs import MAX_WAITING, Job, JobQueue

RECIPE: Recipe = parse_recipe({"input": "scan.zarr", "phases": ["lif"]})
#: A worker that says that it began, then does what the name of the run asks for.
WORKER = """
import json, os, signal, sys, time
job = json.loads(sys.stdin.readline())
print(json.dumps({"step": "spots", "done": 1, "total": 4}), flush=True)
what = os.path.basename(job["out"]).split("-")[0]
if what == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if what == "dying":
    os._exit(3)
if what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
while what != "quick":
    try:
        time.sleep(0.05)
    except KeyboardInterrupt:
        print(json.dumps({"error": "cancelled"}), flush=True)
        sys.exit()
print(json.dumps({"summary": {"resumed": job["resume"], "jobs": job["jobs"]}}), flush=True)
"""


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobQueue]:
    monkeypatch.setattr(jobs_module, "WORKER", (sys.executable, "-c", WORKER))
    monkeypatch.setattr(jobs_module, "_GRACE_S", 0.5)
    one = JobQueue(2)
    yield one
    one.close()


def wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def add(queue: JobQueue, name: str, *, resume: bool = False) -> Job:
    return queue.add(RECIPE, Path("/runs") / name, resume=resume)


def test_runs_are_made_one_after_the_other_and_tell_their_progress(queue: JobQueue) -> None:
    first, second = add(queue, "long"), add(queue, "quick")
    wait(lambda: bool(first.steps))
    assert (first.state, second.state) == ("running", "waiting")
    assert first.facts()["steps"] == [{"step": "spots", "done": 1, "total": 4}]
    queue.cancel(first.id)
    wait(lambda: second.state == "done")
    assert first.state == "cancelled"
    assert second.summary == {"resumed": False, "jobs": 2}


def test_a_cancelled_run_is_resumed(queue: JobQueue) -> None:
    first = add(queue, "quick")
    wait(lambda: first.state == "done")
    again = add(queue, "quick", resume=True)
    wait(lambda: again.state == "done")
    assert again.summary is not None
    assert again.summary["resumed"] is True


def test_a_run_that_waits_is_cancelled_without_ever_starting(queue: JobQueue) -> None:
    first, second, third = add(queue, "long"), add(queue, "quick-2"), add(queue, "quick-3")
    queue.cancel(second.id)
    queue.cancel(first.id)
    wait(lambda: third.state == "done")
    assert (second.state, second.started_s) == ("cancelled", None)


def test_a_full_queue_takes_no_more_until_one_is_cancelled(queue: JobQueue) -> None:
    running = add(queue, "long")
    wait(lambda: running.state == "running")
    waiting = [add(queue, f"quick-{i}") for i in range(MAX_WAITING)]
    with pytest.raises(RunFolderError, match="16 runs are waiting"):
        add(queue, "quick-more")
    queue.cancel(waiting[3].id)
    assert add(queue, "quick-more").state == "waiting"


def test_two_runs_into_one_folder_are_refused(queue: JobQueue) -> None:
    add(queue, "long")
    with pytest.raises(RunFolderError, match="Choose another name"):
        add(queue, "long")


def test_a_worker_that_does_not_listen_is_ended(queue: JobQueue) -> None:
    job = add(queue, "deaf")
    wait(lambda: bool(job.steps))
    queue.cancel(job.id)
    wait(lambda: job.state == "cancelled")


def test_a_worker_that_dies_is_a_failed_run_with_a_sentence(queue: JobQueue) -> None:
    job = add(queue, "dying")
    wait(lambda: job.state == "failed")
    assert job.error == "The run ended early (code 3)."


def test_a_worker_that_the_system_kills_is_not_taken_for_a_cancelled_run(queue: JobQueue) -> None:
    job = add(queue, "killed")
    wait(lambda: job.ended_s is not None and job.state != "running")
    assert job.state == "failed"
    assert "memory" in str(job.error)


def test_a_run_that_is_cancelled_while_it_is_started_is_ended(queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    start, may_start = subprocess.Popen, threading.Event()

    def late(*words: Any, **options: Any) -> Any:
        may_start.wait(20)
        return start(*words, **options)

    monkeypatch.setattr(subprocess, "Popen", late)
    job = add(queue, "long")
    wait(lambda: job.state == "running")
    queue.cancel(job.id)
    may_start.set()
    wait(lambda: job.state == "cancelled")


def test_closing_ends_what_runs(queue: JobQueue) -> None:
    job = add(queue, "long")
    wait(lambda: bool(job.steps))
    queue.close()
    assert job.process is not None
    assert job.process.poll() is not None


def test_a_job_that_was_forgotten_says_so(queue: JobQueue) -> None:
    with pytest.raises(FriedelError, match="no job 7"):
        queue.get(7)


def test_what_a_worker_says_that_is_no_progress_fails_the_run_and_not_the_queue(
    queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "WORKER", (sys.executable, "-c", "print('hello')"))
    job = add(queue, "strange")
    wait(lambda: job.state == "failed")
    assert "could not be" in str(job.error)
