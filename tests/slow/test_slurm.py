"""Workers by way of SLURM's commands, of which stand-ins run the job at once on this machine."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from dask_jobqueue import SLURMCluster

import friedel as fr
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.run import RunOptions

pytestmark = pytest.mark.slow

COMMANDS = {
    "sbatch": 'cp "$1" {folder}/job.sh; sh {folder}/job.sh > {folder}/job.log 2>&1 & echo $! > {folder}/pid; '
    "echo Submitted batch job 17",
    "scancel": 'echo "$@" >> {folder}/cancelled; kill $(cat {folder}/pid)',
}


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with commands named as those of SLURM, first on the PATH."""
    folder = tmp_path / "queue"
    folder.mkdir()
    for name, body in COMMANDS.items():
        (folder / name).write_text("#!/bin/sh\n" + body.format(folder=folder) + "\n")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_workers_that_a_queue_starts_make_the_same_map(queue: Path, scan_file: Path, tmp_path: Path) -> None:
    recipe = parse_recipe({"input": str(scan_file), "phases": ["nmc811-o3", "nmc811-o1"]})
    fr.run_recipe(recipe, tmp_path / "alone")
    options = {"python": sys.executable, "interface": "lo", "scheduler_options": {"dashboard_address": None}}
    with SLURMCluster(
        cores=2, processes=2, memory="4GB", walltime="00:10:00", queue="normal", death_timeout=60, **options
    ) as cluster:
        cluster.scale(jobs=1)
        fr.run_recipe(recipe, tmp_path / "queued", RunOptions(scheduler=cluster.scheduler_address))
    assert "#SBATCH -p normal" in (queue / "job.sh").read_text()
    assert (queue / "cancelled").read_text().split() == ["17"]
    alone, queued = (fr.load_phase_map(tmp_path / name) for name in ("alone", "queued"))
    assert alone.presence.any()
    assert np.array_equal(alone.presence, queued.presence)
