"""Many files with one recipe: a run folder for each, a table and a report of all."""

from __future__ import annotations

import itertools
import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

from friedel.core.errors import FriedelError, RunFolderError
from friedel.pipeline.recipe import Recipe, dump_recipe
from friedel.pipeline.run import RunOptions, run_recipe
from friedel.pipeline.runs.files import Summary, load_summary
from friedel.pipeline.runs.folder import is_run
from friedel.pipeline.runs.provenance import sha256_of, versions

#: What a batch writes beside the run folders.
TABLE, REPORT = "batch.csv", "report.html"


@dataclass(frozen=True, slots=True)
class BatchEntry:
    """What became of one file.

    Parameters
    ----------
    name
        Its run folder, inside that of the batch.
    input
        The file.
    summary
        Of its run; None if there is none.
    error
        Why there is no run; empty if there is one.
    """

    name: str
    input: str
    summary: Summary | None
    error: str = ""


def folder_names(inputs: Sequence[Path], taken: Mapping[str, str] | None = None) -> list[str]:
    """Name a run folder for each file: its name without the suffix; with it, then numbered, where that is taken.

    ``taken`` are names in use, with their files, which keep them.
    """
    owners = dict(taken or {})
    names = {path: name for name, path in owners.items()}
    for path in map(str, inputs):
        if path not in names:
            whole = Path(path)
            numbered = (f"{whole.name}-{i}" for i in itertools.count(2))
            choices = itertools.chain((whole.stem, whole.name), numbered)
            name = next(choice for choice in choices if choice not in owners and choice not in (TABLE, REPORT))
            owners[name], names[path] = path, name
    return [names[str(path)] for path in inputs]


def run_batch(
    recipes: Mapping[str, Recipe],
    out: Path,
    options: RunOptions,
    tell: Callable[[BatchEntry, int, int], None] = lambda entry, done, total: None,
) -> tuple[BatchEntry, ...]:
    """Run recipes by the names of their folders; one that fails does not stop the others.

    With several jobs, so many files are mapped at a time, each by one process; on a Dask cluster, one after the other,
    each by the whole cluster. With ``resume``, what is finished is kept, and what was interrupted goes on. What is
    written is the same in each case.

    Parameters
    ----------
    tell
        Called with each entry when it is there, how many there are, and how many there will be.

    Raises
    ------
    RunFolderError
        If ``out`` is a file or a single run, or holds a report that is no batch's.
    """
    check_batch_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    done: dict[str, BatchEntry] = {}
    for entry in _entries(recipes, out, options):
        done[entry.name] = entry
        tell(entry, len(done), len(recipes))
    return tuple(done[name] for name in recipes)


def check_batch_folder(out: Path) -> None:
    """Raise RunFolderError where a batch would write over something else: a file, a single run, another report."""
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file, not a folder. Choose another --out.")
    if out.is_dir() and is_run(out):
        raise RunFolderError(f"{out} is the run of a single file. Choose another --out for many.")
    report = out / REPORT
    if report.exists() and not (out / TABLE).exists():
        raise RunFolderError(f"{report} is there already, and no batch made it. Choose another --out.")


def _entries(recipes: Mapping[str, Recipe], out: Path, options: RunOptions) -> Iterator[BatchEntry]:
    """Yield entries as they are done."""
    if options.scheduler is not None or options.jobs == 1 or len(recipes) == 1:
        for name, recipe in recipes.items():
            yield run_one(name, recipe, out, options)
        return
    single = replace(options, jobs=1)
    left = dict(recipes)
    with _pool(min(options.jobs, len(recipes))) as pool:
        futures = {pool.submit(run_one, name, recipe, out, single): name for name, recipe in recipes.items()}
        try:
            for future in as_completed(futures):
                entry = _entry_of(future)
                if entry is not None:
                    del left[entry.name]
                    yield entry
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    # A process that was killed takes its pool along: the files that are left get a process of their own each.
    for name, recipe in left.items():
        with _pool(1) as pool:
            entry = _entry_of(pool.submit(run_one, name, recipe, out, replace(single, resume=True)))
        yield entry or BatchEntry(name, recipe.input, None, _KILLED)


_KILLED = "its process was killed. Too little memory? Map it alone, or a part of it with --roi."


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("forkserver"))


def _entry_of(future: Future[BatchEntry]) -> BatchEntry | None:
    """Return the entry of a future, None if its process was killed."""
    try:
        return future.result()
    except BrokenProcessPool:
        return None


def run_one(name: str, recipe: Recipe, out: Path, options: RunOptions) -> BatchEntry:
    """Run one recipe into its folder, and put whatever keeps it from that into words."""
    try:
        kept = finished_summary(out / name, recipe) if options.resume else None
        return BatchEntry(name, recipe.input, kept or run_recipe(recipe, out / name, options))
    except FriedelError as error:
        return BatchEntry(name, recipe.input, None, " ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 - a fault in one file must not keep the others from being mapped
        said = f"friedel failed ({type(error).__name__}: {' '.join(str(error).split())}). This is a fault of friedel."
        return BatchEntry(name, recipe.input, None, said)


def finished_summary(run: Path, recipe: Recipe) -> Summary | None:
    """Return the summary of a finished run if recipe, inputs and version are those of this one, else None."""
    if not is_run(run):
        return None
    try:
        if (run / "recipe.toml").read_text(encoding="utf-8") != dump_recipe(recipe):
            return None
        provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
        if provenance["versions"].get("friedel") != versions().get("friedel"):
            return None
        unchanged = all(sha256_of(path) == known for path, known in provenance["inputs_sha256"].items())
        return load_summary(run) if unchanged else None
    except (OSError, ValueError, LookupError, AttributeError, FriedelError):
        return None
