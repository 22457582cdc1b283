"""A map made on a Dask cluster is the same, bit for bit."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from dask_jobqueue import SLURMCluster
from distributed import LocalCluster

import friedel as fr
from friedel.core.errors import FriedelError
from friedel.pipeline import workers
from friedel.pipeline.recipe import parse_recipe
from friedel.pipeline.run import RunOptions
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan


def test_cluster_gives_the_same_map_as_one_process(tmp_path: Path) -> None:
    scan, truth = simulate_nmc811_scan(5, ScanOptions(scan_shape=(4, 6)))
    fr.write_scan(tmp_path / "scan.zarr", scan)
    recipe = parse_recipe({"input": str(tmp_path / "scan.zarr"), "phases": list(truth.phases)})
    fr.run_recipe(recipe, tmp_path / "alone")
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None) as c:
        fr.run_recipe(recipe, tmp_path / "cluster", RunOptions(scheduler=c.scheduler_address))
    alone, cluster = (fr.load_phase_map(tmp_path / name) for name in ("alone", "cluster"))
    assert np.array_equal(alone.presence, cluster.presence)
    spots = [fr.load_spots(tmp_path / name) for name in ("alone", "cluster")]
    assert len(spots[0]) > 0
    assert np.array_equal(spots[0].k_inv_a, spots[1].k_inv_a)


def test_a_scheduler_without_workers_is_told_and_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_WAIT_FOR_WORKERS_S", 0.2)
    with (
        LocalCluster(n_workers=0, processes=False, protocol="tcp", dashboard_address=None) as c,
        pytest.raises(FriedelError, match="dask worker"),
        workers.workers(1, c.scheduler_address),
    ):
        pass


@pytest.mark.filterwarnings("ignore:Port 8787 is already in use")
def test_the_documented_slurm_job_starts_workers_of_one_thread() -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "cluster.md").read_text(encoding="utf-8")
    call = re.search(r"^cluster = (SLURMCluster\(.*\))$", page, re.MULTILINE)
    assert call is not None
    with eval(call[1], {"SLURMCluster": SLURMCluster}) as cluster:
        script, address = cluster.job_script(), cluster.scheduler_address
    assert {"#SBATCH -p normal", "#SBATCH -n 1", "#SBATCH --cpus-per-task=16", "#SBATCH -t 01:00:00"} < set(
        script.splitlines()
    )
    (worker,) = (line for line in script.splitlines() if address in line)
    assert "--nthreads 1 " in worker
    assert "--nworkers 16 " in worker
