"""A run in a process of its own: the job comes as a line on stdin, progress goes out as lines on stdout.

The process ends when its stdin does, so that no run outlives the server.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict
from typing import IO, Any

from friedel.core.errors import FriedelError
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.run import RunOptions, run_recipe
from friedel.pipeline.runs.files import plain_values


def main() -> None:
    """Run one job."""
    lines, told = sys.stdin, os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is no progress
    job = json.loads(lines.readline())
    threading.Thread(target=_watch, args=(lines,), daemon=True).start()
    try:
        options = RunOptions(job["jobs"], resume=job["resume"], command=tuple(job["command"]))
        summary = run_recipe(
            parse_recipe(job["recipe"]),
            job["out"],
            options,
            progress=lambda step, done, total: _tell(told, step=step, done=done, total=total),
        )
        _tell(told, summary=plain_values(asdict(summary)))
    except FriedelError as error:
        _tell(told, error=" ".join(str(error).split()))
    except KeyboardInterrupt:
        _tell(told, error="cancelled")
    except Exception as error:  # noqa: BLE001 - told to the page
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        _tell(told, error=f"friedel failed ({what}). This is a fault of friedel.")


def _tell(told: IO[str], **facts: Any) -> None:
    told.write(json.dumps(facts) + "\n")


def _watch(lines: IO[str]) -> None:
    while lines.readline():
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    main()
