"""A set of pairs on disk: one shard per material, and a manifest that says what each pair is.

::

    OUT/dataset.json            settings, versions and materials; written first
    OUT/shards/0007-lif.zarr    noisy (n, ky, kx), clean (n, ky, kx), spots; one material
    OUT/shards/0007-lif.jsonl   one line per pair of that shard
    OUT/manifest.jsonl          all lines in the order of the shards; written last, so that it marks a finished set

Each file is written beside its place and moved there whole, so that a killed run leaves no half shard.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from friedel.core.errors import DataError, FileError
from friedel.simulate.training.dataset import Pair, PairOptions, pairs
from friedel.simulate.training.materials import Material

#: Called with (shards done, shards in all).
Progress = Callable[[int, int], None]

_PACKAGES = ("friedel", "numpy", "scipy", "gemmi", "spglib", "zarr")
_ARRAYS = ("noisy", "clean", "spot_px", "spot_share", "spot_offsets")


def write_dataset(
    materials: Sequence[Material],
    options: PairOptions,
    out: Path,
    *,
    resume: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the pairs of all materials and return the path of the manifest.

    The same settings give the same bytes, whatever the number of workers and however often the run was interrupted.

    Parameters
    ----------
    out
        Folder, new or empty unless ``resume``.
    resume
        Keep the shards that an earlier run with the same settings has finished.
    executor
        Anything with the interface of ``concurrent.futures``; None works in this process.

    Raises
    ------
    FileError
        If the folder is in use, cannot be written, or belongs to a set with other settings.
    """
    out = Path(out)
    try:
        _claim(out, _description(materials, options), resume=resume)
        names = [_shard_name(i, m) for i, m in enumerate(materials)]
        todo = [i for i, name in enumerate(names) if not (out / "shards" / f"{name}.jsonl").exists()]
        jobs = [(materials[i], out / "shards" / names[i]) for i in todo]
        for done, _ in enumerate(_run(partial(_write_shard, options=options), jobs, executor), start=1):
            if progress is not None:
                progress(len(names) - len(todo) + done, len(names))
        return _join(out, names)
    except OSError as error:
        remedy = "Free space or pass another --out, then go on with --resume."
        raise FileError(out, f"cannot be written: {error.strerror}", remedy) from error


def read_manifest(out: Path) -> list[dict[str, Any]]:
    """Read what each pair of a finished set is; ``shard`` and ``index`` say where it lies.

    Raises
    ------
    FileError
        If the folder holds no finished set.
    """
    path = Path(out) / "manifest.jsonl"
    if not path.is_file():
        remedy = "Finish it with: friedel simulate dataset --resume"
        raise FileError(out, "holds no finished set of pairs (no manifest.jsonl)", remedy)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def load_pairs(out: Path, split: str | None = None) -> Iterator[Pair]:
    """Read the pairs of a finished set back, in the order of the manifest, of one split or all."""
    shard, arrays = "", {}
    for facts in read_manifest(out):
        if split is not None and facts["split"] != split:
            continue
        if facts["shard"] != shard:
            shard = facts["shard"]
            group = zarr.open_group(Path(out) / "shards" / f"{shard}.zarr", mode="r")
            arrays = {name: np.asarray(group[name]) for name in _ARRAYS}
        i = facts["index"]
        spots = slice(*arrays["spot_offsets"][i : i + 2])
        yield Pair(arrays["noisy"][i], arrays["clean"][i], arrays["spot_px"][spots], arrays["spot_share"][spots], facts)


def _description(materials: Sequence[Material], options: PairOptions) -> dict[str, Any]:
    names = [m.name for m in materials]
    if len(set(names)) != len(names) or not names:
        raise DataError(f"A set needs one or more materials with unique names, got {len(names)}.")
    return {
        "options": asdict(options),
        "versions": {name: version(name) for name in _PACKAGES},
        "materials": [_entry(m) for m in materials],
    }


def _entry(material: Material) -> dict[str, str]:
    crystal = material.crystal
    structure = repr((crystal.cell, crystal.space_group.symbol, crystal.sites))
    return {
        "name": material.name,
        "split": material.split,
        "origin": material.origin,
        "source": crystal.source,
        "structure_sha256": hashlib.sha256(structure.encode()).hexdigest(),
    }


def _claim(out: Path, description: dict[str, Any], *, resume: bool) -> None:
    """Make the folder ours, or make sure that it is."""
    path, text = out / "dataset.json", json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    if path.exists():
        if not resume:
            raise FileError(out, "holds a set of pairs already", "Pass --resume to go on with it, or another --out.")
        if path.read_text(encoding="utf-8") != text:
            problem = "holds a set that was begun with other settings, materials or versions (see its dataset.json)"
            raise FileError(out, problem, "Pass the same options, or another --out.")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileError(out, "is in use, and holds no set of pairs", "Pass another --out.")
    (out / "shards").mkdir(parents=True, exist_ok=True)
    for rest in (out / "shards").glob("*.part"):
        shutil.rmtree(rest)
    _write_text(path, text)


def _shard_name(index: int, material: Material) -> str:
    return f"{index:04d}-{re.sub(r'[^A-Za-z0-9._+-]', '_', material.name)[:60]}"


def _run(
    work: Callable[[tuple[Material, Path]], None], jobs: Sequence[tuple[Material, Path]], executor: Executor | None
) -> Iterator[None]:
    if executor is None:
        yield from map(work, jobs)
    else:
        yield from executor.map(work, jobs)


def _write_shard(job: tuple[Material, Path], options: PairOptions) -> None:
    """Make and write all pairs of a material; its lines come last and mark a whole shard."""
    material, path = job
    made = list(pairs([material], options))
    part = path.with_name(f"{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    _write_arrays(part, made, options)
    target = path.with_name(f"{path.name}.zarr")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    lines = [{"shard": path.name, "index": i, **pair.facts} for i, pair in enumerate(made)]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    _write_text(path.with_name(f"{path.name}.jsonl"), text)


def _write_arrays(path: Path, made: Sequence[Pair], options: PairOptions) -> None:
    n, (ky, kx) = len(made), options.shape
    counts = [len(pair.spot_share) for pair in made]
    noisy = np.stack([pair.noisy for pair in made]) if made else np.zeros((0, ky, kx), dtype=np.uint16)
    clean = np.stack([pair.clean for pair in made]) if made else np.zeros((0, ky, kx), dtype=np.float32)
    group = zarr.open_group(path, mode="w", zarr_format=3)
    for name, data in (("noisy", noisy), ("clean", clean)):
        # One chunk per pattern, so that one can be read alone, all in one file.
        array = group.create_array(name, shape=data.shape, dtype=data.dtype, chunks=(1, ky, kx),
                                   shards=(max(n, 1), ky, kx), dimension_names=("pair", "ky", "kx"))  # fmt: skip
        array[...] = data
    columns = {
        "spot_px": np.concatenate([np.zeros((0, 2), np.float32), *(pair.spot_px for pair in made)]),
        "spot_share": np.concatenate([np.zeros(0, np.float32), *(pair.spot_share for pair in made)]),
        "spot_offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    }
    for name, column in columns.items():
        array = group.create_array(name, shape=column.shape, dtype=column.dtype,
                                   chunks=(max(len(column), 1), *column.shape[1:]))  # fmt: skip
        array[...] = column


def _join(out: Path, names: Sequence[str]) -> Path:
    """Write the manifest from the lines of all shards."""
    target = out / "manifest.jsonl"
    text = "".join((out / "shards" / f"{name}.jsonl").read_text(encoding="utf-8") for name in names)
    _write_text(target, text)
    return target


def _write_text(path: Path, text: str) -> None:
    """Write a file beside its place, and move it there whole."""
    part = path.with_name(f".{path.name}.new")
    with part.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
