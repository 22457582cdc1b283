"""Read many damaged copies of one file, each in a fork of one prepared process, and print what came of each.

Usage: damaged_reads.py FILE FOLDER SEED FLIPS CUTS. One JSON line per copy: what was done to it, how it ended ("read",
the name of a typed error, "killed by N"), seconds, peak memory, and of what was read its shape, type and number of
values that differ from the sound file's or turned zero. What stands beside the file is linked into FOLDER.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from friedel.io.child import Server
from friedel.io.limits import Limits

LIMITS = Limits(memory_bytes=2**28, cpu_s=5.0, wall_s=10.0)


def read(path: Path) -> dict[str, Any] | tuple[np.ndarray[Any, Any], list[str]]:
    """Read all of a file as the guarded reader does, and its notes to the user; the error's header if it refuses."""
    server = Server()
    header, _ = server.answer({"do": "open", "path": str(path), "limits": LIMITS.to_json()})
    if "error" not in header:
        header, _ = server.answer({"do": "describe"})
    if "error" not in header:
        notes = header["notes"]
        shape = [axis["size"] for axis in header["axes"]]
        header, payload = server.answer({"do": "read", "key": [[0, n, 1] for n in shape]})
    if "error" in header:
        return header
    return np.frombuffer(bytes(payload), np.dtype(header["dtype"])).reshape(header["shape"]), notes


def outcome(path: Path, sound: np.ndarray[Any, Any]) -> dict[str, Any]:
    """How reading ends, compared with the sound data."""
    result = read(path)
    if isinstance(result, dict):
        return {"ended": result["error"], "remedy": result["remedy"]}
    got, notes = result
    same = got.shape == sound.shape and got.dtype == sound.dtype
    found = {"ended": "read", "shape": list(got.shape), "dtype": got.dtype.str, "same_form": same, "notes": notes}
    if same:
        changed = (got != sound) & ~((got != got) & (sound != sound))
        found |= {"changed": int(changed.sum()), "turned_zero": int((changed & (got == 0)).sum())}
    return found


def in_fork(path: Path, sound: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Read in a fork, so that a crash of a vendor library is seen and survived."""
    listen, tell = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os.write(tell, json.dumps(outcome(path, sound)).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(listen, "rb") as pipe:
        said = pipe.read()
    _, status, used = os.wait4(child, 0)
    found = json.loads(said) if said else {"ended": f"killed by {os.WTERMSIG(status)}"}
    return found | {"seconds": round(time.monotonic() - began, 3), "peak_mib": used.ru_maxrss // 1024}


def damages(data: bytes, seed: int, flips: int, cuts: int) -> list[tuple[str, bytes]]:
    """Cut copies, and copies of which a byte is changed, every second one near the start, where headers are."""
    rng = random.Random(seed)
    made = [(f"cut to {len(data) * i // cuts}", data[: len(data) * i // cuts]) for i in range(cuts)]
    for i in range(flips):
        at = int(len(data) ** rng.random()) - 1 if i % 2 else rng.randrange(len(data))
        value = data[at] ^ rng.randrange(1, 256)
        made.append((f"byte {at} from {data[at]} to {value}", data[:at] + bytes([value]) + data[at + 1 :]))
    return made


def main() -> None:
    """Damage, read, tell."""
    logging.disable(logging.CRITICAL)
    file, folder = Path(sys.argv[1]), Path(sys.argv[2])
    seed, flips, cuts = map(int, sys.argv[3:6])
    for beside in file.parent.iterdir():
        if beside != file and beside.stem.startswith(file.stem.split("_")[0][:4]):
            (folder / beside.name).symlink_to(beside)
    data, damaged = file.read_bytes(), folder / file.name
    damaged.write_bytes(data)
    sound = read(damaged)
    assert not isinstance(sound, dict), sound
    for what, copy in damages(data, seed, flips, cuts):
        damaged.write_bytes(copy)
        sys.stdout.write(json.dumps({"what": what} | in_fork(damaged, sound[0])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
