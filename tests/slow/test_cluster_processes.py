"""A map made by a Dask scheduler and workers that are processes of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client
from processes import map_command, results_of

pytestmark = pytest.mark.slow

DASK = str(Path(sys.executable).with_name("dask"))
#: Each of 24 rows is a block, done in two passes; and a worker is asked where the network runs.
N_TASKS = 2 * 24 + 1
#: One thread in the libraries of each worker.
ONE = ["env", "OMP_NUM_THREADS=1", "DASK_DISTRIBUTED__WORKER__HEARTBEAT_INTERVAL=200ms"]


class Cluster:
    """A scheduler and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.processes = folder, folder / "scheduler.json", list[subprocess.Popen[bytes]]()
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", self.file)
        while not self.file.exists():
            assert self.processes[0].poll() is None
            time.sleep(0.05)
        with Client(scheduler_file=str(self.file)) as client:
            self.address = client.scheduler.address

    def start(self, *what: object) -> subprocess.Popen[bytes]:
        command = [*ONE, DASK, *(str(word) for word in what)]
        with (self.folder / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder))
        return self.processes[-1]

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A worker without a nanny, which would start it again."""
        return self.start("worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard")

    def wait_for(self, n_workers: int) -> None:
        with Client(self.address) as client:
            client.wait_for_workers(n_workers, timeout=60)

    def n_done(self) -> int:
        """How many pieces of work were finished, those that were done again counted again."""

        def count(dask_scheduler: object) -> int:
            log = dask_scheduler.transition_log  # type: ignore[attr-defined]
            return sum(1 for entry in log if tuple(entry[1:3]) == ("processing", "memory"))

        with Client(self.address) as client:
            return int(client.run_on_scheduler(count))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    for process in reversed(cluster.processes):
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def alone(scan_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    subprocess.run(map_command(scan_file, out), check=True)
    return results_of(out)


@pytest.mark.parametrize("n_workers", [1, 3])
def test_any_number_of_workers_gives_the_same_bits(
    scan_file: Path, tmp_path: Path, cluster: Cluster, alone: dict[str, bytes], n_workers: int
) -> None:
    for _ in range(n_workers):
        cluster.start_worker()
    cluster.wait_for(n_workers)
    subprocess.run(map_command(scan_file, tmp_path / "run", "--scheduler", cluster.address), check=True)
    assert results_of(tmp_path / "run") == alone


def test_a_killed_worker_costs_only_its_block(
    scan_file: Path, tmp_path: Path, cluster: Cluster, alone: dict[str, bytes]
) -> None:
    victim, _ = cluster.start_worker(), cluster.start_worker()
    cluster.wait_for(2)
    run = subprocess.Popen(map_command(scan_file, tmp_path / "run", "--scheduler", cluster.address))
    blocks = tmp_path / "run.partial" / ".work" / "blocks"
    while len(list(blocks.glob("*.npz"))) < 2:
        assert run.poll() is None
        time.sleep(0.02)
    victim.kill()
    assert run.wait(timeout=300) == 0
    assert results_of(tmp_path / "run") == alone
    assert N_TASKS <= cluster.n_done() <= N_TASKS + 2
