"""Write docs/reference/licences.md: whose code and data friedel stands on: ``python docs/make/licences_page.py``."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).parents[1] / "reference" / "licences.md"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_EXTRAS = ("gui", "notebook", "cluster", "train")
_LONGEST_NAME = 60

PAGE_TEXT = """# Licences

friedel is GPL-3.0-or-later, as RosettaSciIO is, with which it reads the files of vendors. Written by
`docs/make/licences_page.py` on {today} from what the installed packages say of themselves.

## Weights

The networks in the package are friedel's own work: they were trained on patterns and micrographs that friedel
simulated, from crystal structures whose sources are listed under [phases](phases.md) and [materials](materials.md).

| file | MB | licence | trained on |
|---|---|---|---|
{weights}

## Phases

The CIF files of the library were written for friedel from published cell parameters and coordinates, each with its
source; such facts are nobody's property. They are covered by friedel's licence.

## The web page

The scripts in the package contain no library: they are built from the sources in `frontend/` alone.

## Installed with friedel

| package | version | licence |
|---|---|---|
{needed}

## Installed with extras

| package | version | licence |
|---|---|---|
{extra}
"""


def main() -> None:
    """Write the page."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    needed = closure(project["dependencies"])
    extra = closure([line for name in _EXTRAS for line in optional[name]]) - needed - {"friedel"}
    today = dt.datetime.now(tz=dt.UTC).date()
    PAGE.write_text(
        PAGE_TEXT.format(today=today, weights=weights(), needed=table(needed), extra=table(extra)), encoding="utf-8"
    )


def closure(requirements: list[str]) -> set[str]:
    """Names of all packages that these requirements bring along, directly or not."""
    waiting = [Requirement(line) for line in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        name, extras = normal(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        waiting += [r for r in required_by(name) if applies(r, extras)]
    return {name for name, _ in seen}


def required_by(name: str) -> list[Requirement]:
    """What a package that is installed here requires; friedel's own extras are listed in its project file."""
    try:
        return [] if name == "friedel" else [Requirement(line) for line in distribution(name).requires or []]
    except PackageNotFoundError:
        return []


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    """Whether a requirement holds on this machine with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def normal(name: str) -> str:
    """Name of a package as indices write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def table(names: set[str]) -> str:
    """Rows of a table of packages; those that this machine does not have are left out."""
    rows = []
    for name in sorted(names):
        try:
            rows.append(f"| {name} | {distribution(name).version} | {licence_of(name)} |")
        except PackageNotFoundError:
            print(f"not installed here, and left out: {name}")
    return "\n".join(rows)


def licence_of(name: str) -> str:
    """Licence of a package: its expression, else its classifiers, else what its field or its file says first."""
    facts = distribution(name).metadata
    if "License-Expression" in facts:
        return str(facts["License-Expression"])
    named = [c.split(" :: ")[-1] for c in facts.get_all("Classifier", []) if c.startswith("License :: ")]
    stated = [n for n in named if n != "OSI Approved"]
    field = first_line((facts.get_all("License") or [""])[0])
    return ", ".join(stated) or field or first_line(licence_text(name))


def licence_text(name: str) -> str:
    """Text of the licence file that a package brings along."""
    found = [f for f in distribution(name).files or [] if f.name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))]
    return found[0].read_text() if found else "not stated"


def first_line(text: str) -> str:
    """First line of a text that is not empty, shortened."""
    return next((line.strip()[:_LONGEST_NAME] for line in text.splitlines() if line.strip()), "")


def weights() -> str:
    """Rows of a table of the networks in the package."""
    rows = []
    for entry in sorted((files("friedel.nets") / "weights").iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".toml"):
            continue
        card = tomllib.loads(entry.read_text(encoding="utf-8"))
        model = entry.name.removesuffix(".toml") + ".onnx"
        size = len((files("friedel.nets") / "weights" / model).read_bytes())
        rows.append(
            f"| `{model}` | {size / 1e6:.1f} | {card['licence']} | simulated data, see `friedel weights list` |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
