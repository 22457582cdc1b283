"""Read many damaged copies of what a user brings beside the data, each in a fork, and print what came of each.

Usage: damaged_settings.py KIND FILE FOLDER SEED FLIPS CUTS. KIND is recipe, cif, card, weights or truth; a truth is a
folder, of which one file is damaged at a time. One JSON line per copy, as ``damaged_reads.py`` prints it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from damaged_reads import damages

from friedel.core.errors import FriedelError
from friedel.crystal import read_cif, reflections
from friedel.nets.cards import dump_card, load_card
from friedel.nets.inference import load_network
from friedel.pipeline.recipe import dump_recipe, load_recipe
from friedel.pipeline.runs.files import load_phase_map

#: More than this, beside what the libraries take, and the system refuses.
MEMORY_BYTES = 2**30


def lines_of(path: Path) -> int:
    """Reflections to 1 Å of a CIF file."""
    return len(reflections(read_cif(path), 1.0))


def run_weights(path: Path) -> list[float]:
    """What weights make of a pattern, though their card states the sha256 of the damaged file."""
    card = path.with_suffix(".toml")
    stated, actual = load_card(card).sha256, hashlib.sha256(path.read_bytes()).hexdigest()
    card.write_text(card.read_text().replace(stated, actual))
    pattern = np.full((1, 32, 32), 2.0, dtype=np.float32)
    return load_network(str(path)).run(pattern, np.array([[15.5, 15.5]]))[0].ravel().tolist()


def map_values(path: Path) -> list[Any]:
    """Presence and validity of a truth; names and scale stand in plain JSON, where a letter may change unseen."""
    found = load_phase_map(path)
    return [found.presence.tolist(), found.valid.tolist()]


READERS: dict[str, Callable[[Path], Any]] = {
    "recipe": lambda path: dump_recipe(load_recipe(path)),
    "cif": lines_of,
    "card": lambda path: dump_card(load_card(path)),
    "weights": run_weights,
    "truth": map_values,
}


def outcome(kind: str, path: Path, sound: Any) -> dict[str, Any]:
    """How reading ends; an error that is not friedel's own ends the fork and is told by its name."""
    try:
        return {"ended": "read", "changed": READERS[kind](path) != sound}
    except FriedelError as error:
        return {"ended": type(error).__name__, "says": str(error), "named": path.stem in str(error)}
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return {"ended": f"uncaught {type(error).__name__}", "says": str(error)[:300]}


def in_fork(kind: str, path: Path, sound: Any) -> dict[str, Any]:
    """Read in a fork with a limit on memory, so that a crash or a bomb is seen and survived."""
    listen, tell = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (virtual + MEMORY_BYTES,) * 2)
        os.dup2(2, 1)  # ONNX Runtime prints
        os.write(tell, json.dumps(outcome(kind, path, sound)).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(listen, "rb") as pipe:
        said = pipe.read()
    _, status, used = os.wait4(child, 0)
    found = json.loads(said) if said else {"ended": f"killed by {os.WTERMSIG(status)}"}
    return found | {"seconds": round(time.monotonic() - began, 3), "peak_mib": used.ru_maxrss // 1024}


def copies_of(source: Path, seed: int, flips: int, cuts: int) -> list[tuple[str, Path, bytes]]:
    """Return what is done, to which file, and its new bytes; of a folder each file gets a share of the flips."""
    files = sorted(file for file in source.rglob("*") if file.is_file()) if source.is_dir() else [source]
    made = [
        (f"{what} of {file.name}", file.relative_to(source.parent), data)
        for i, file in enumerate(files)
        for what, data in damages(file.read_bytes(), seed + i, flips, cuts)
    ]
    return made if source.is_file() else random.Random(seed).sample(made, flips + cuts)


def main() -> None:
    """Damage, read, tell."""
    kind, source, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    seed, flips, cuts = map(int, sys.argv[4:7])
    fresh = folder / "fresh"
    fresh.mkdir()

    def lay() -> Path:
        """Put whole copies in place, with what stands beside a file."""
        for file in [source] if source.is_dir() else sorted(source.parent.glob(f"{source.stem}.*")):
            (shutil.copytree if file.is_dir() else shutil.copyfile)(file, fresh / file.name)
        return fresh / source.name

    path = lay()
    sound = json.loads(json.dumps(READERS[kind](path)))
    for what, file, data in copies_of(source, seed, flips, cuts):
        shutil.rmtree(fresh)
        fresh.mkdir()
        lay()
        (fresh / file).write_bytes(data)
        sys.stdout.write(json.dumps({"what": what} | in_fork(kind, path, sound)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
