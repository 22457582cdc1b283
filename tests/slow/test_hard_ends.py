"""Runs that are killed, that fill the disk, or that have no network."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from processes import FRIEDEL, in_namespaces, map_command, results_of

pytestmark = pytest.mark.slow

KILLS = 20
#: Of the scan: each row is one.
N_BLOCKS = 24
#: Enough for some of the blocks.
LEFT_BYTES = 96 * 1024


def test_twenty_kills_at_random_moments_change_no_bit(scan_file: Path, tmp_path: Path) -> None:
    """Each run goes on from what the killed one left; where one ends before its kill, the next starts anew."""
    began = time.monotonic()
    subprocess.run(map_command(scan_file, tmp_path / "whole"), check=True)
    took, whole = time.monotonic() - began, results_of(tmp_path / "whole")
    rng, kills = random.Random(0), 0
    for run in range(10 * KILLS):
        out = tmp_path / f"run-{run}"
        while kills < KILLS and not out.exists():
            process = subprocess.Popen(map_command(scan_file, out, "--resume"), stderr=subprocess.PIPE)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.3, 1.0) * took)
            kills += process.poll() is None
            process.kill()
            _, said = process.communicate()
            assert process.returncode in (0, -9), said
        if kills == KILLS:
            subprocess.run(map_command(scan_file, out, "--resume"), check=True)
        assert results_of(out) == whole
        assert {entry.name for entry in out.parent.iterdir() if entry.name.startswith(out.name)} == {out.name}
        if kills == KILLS:
            return
        shutil.rmtree(out)
    pytest.fail(f"only {kills} of {KILLS} runs were killed before their end")


def test_full_disk_is_told_and_leaves_the_earlier_result_whole(scan_file: Path, tmp_path: Path) -> None:
    shell, disk = in_namespaces("--mount"), tmp_path / "disk"
    disk.mkdir()
    again = map_command(scan_file, disk / "run", "--seed", "1")
    script = f"""
        mount -t tmpfs -o size=16m tmpfs {disk}
        {" ".join(map_command(scan_file, disk / "run"))}
        cp -r {disk}/run {tmp_path}/before
        head -c $(($(df --output=avail -B1 {disk} | tail -1) - 65536)) /dev/zero > {disk}/filler
        {" ".join(again)} 2> {tmp_path}/said && exit 1
        cp -r {disk}/run {tmp_path}/after
        rm {disk}/filler
        {" ".join(again)} --resume
        cp -r {disk}/run {tmp_path}/mended
    """
    subprocess.run([*shell, script], check=True)
    said = (tmp_path / "said").read_text()
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "the disk is full" in said
    assert "--out" in said
    assert results_of(tmp_path / "after") == results_of(tmp_path / "before")
    assert (tmp_path / "mended" / "summary.json").exists()


def test_disk_that_fills_between_blocks_costs_no_block(scan_file: Path, tmp_path: Path) -> None:
    """Blocks that were kept before the disk was full are whole, and the run goes on from them to the same bits."""
    shell, disk = in_namespaces("--mount"), tmp_path / "disk"
    disk.mkdir()
    command = " ".join(map_command(scan_file, disk / "run"))
    script = f"""
        mount -t tmpfs -o size=16m tmpfs {disk}
        head -c $(($(df --output=avail -B1 {disk} | tail -1) - {LEFT_BYTES})) /dev/zero > {disk}/filler
        {command} 2> {tmp_path}/said && exit 1
        ls {disk}/run.partial/.work/blocks > {tmp_path}/kept
        rm {disk}/filler
        {command} --resume
        cp -r {disk}/run {tmp_path}/mended
    """
    subprocess.run([*shell, script], check=True)
    assert "the disk is full" in (tmp_path / "said").read_text()
    kept = [name for name in (tmp_path / "kept").read_text().split() if name.endswith(".npz")]
    assert 0 < len(kept) < N_BLOCKS
    subprocess.run(map_command(scan_file, tmp_path / "whole"), check=True)
    assert results_of(tmp_path / "mended") == results_of(tmp_path / "whole")


def packets_sent(command: str) -> int:
    """Packets that leave a machine whose only way out swallows them, while a command runs on it."""
    shell = in_namespaces("--net")
    if shutil.which("ip") is None:
        pytest.skip("Debian's iproute2 (the program ip) is not installed")
    script = f"""
        echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
        ip link set lo up
        ip link add out type veth peer name swallowed
        ip address add 192.0.2.1/24 dev out
        ip link set swallowed up
        ip link set out arp off up
        ip route add default dev out
        {command} >&2
        awk '$1 == "out:" {{print $11}}' /proc/net/dev
    """
    return int(subprocess.run([*shell, script], check=True, stdout=subprocess.PIPE, text=True).stdout)


def test_no_run_contacts_a_network(scan_file: Path, tmp_path: Path) -> None:
    assert packets_sent('python3 -c \'import socket; socket.socket(2, 2).sendto(b"x", ("198.51.100.1", 9))\'') == 1
    assert packets_sent(" ".join(map_command(scan_file, tmp_path / "run", "--jobs", "2"))) == 0
    friedel = " ".join(FRIEDEL)
    assert packets_sent(f"{friedel} demo --out {tmp_path}/demo") == 0
    assert packets_sent(f"{friedel} denoise {scan_file} --out {tmp_path}/clean.zarr --quiet") == 0
    assert (tmp_path / "run" / "report.html").exists()
