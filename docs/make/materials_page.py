"""Write docs/reference/materials.md: the materials for training, and what the full set of pairs costs.

Takes about five CPU minutes. Run from the root of the repository: ``python docs/make/materials_page.py``.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from friedel.crystal import chemical_formula
from friedel.crystal.prototypes import LEFT_OUT
from friedel.simulate.training.dataset import MAX_ZONE_INDEX, ZONE_REACH_INV_A, PairOptions
from friedel.simulate.training.materials import SYSTEMS, TEST_PHASES, Material, load_materials, select_materials
from friedel.simulate.training.store import read_manifest, write_dataset

SPLITS = ("train", "validation", "test")
ORIGINS = ("library", "prototype", "isotype")
COUNT = 435

HEAD = """# Materials for training

{total} crystals of all seven crystal systems come with friedel and its extra `train`, to simulate training data from:

- **library**: the [phase library](phases.md), read from published structures;
- **prototype**: measured, ordered structures among the 288 AFLOW prototypes that pymatgen ships (M. J. Mehl et al.,
  Comput. Mater. Sci. 136, S1, 2017), brought to the standard setting by spglib;
- **isotype**: the usual lattice constants of substances in the structure type that they share
  (`friedel/crystal/isotypes.toml`), as compilations such as those named below list them, not copied page by page.
  Coordinates are those of one member of the family where it says so. Tests hold them to densities of handbooks and to
  the lattice constants of two other programs (0.4 %), to sensible distances and to their space groups. They make a
  network see many crystals; they are no reference to identify phases by.

`load_materials()` gives them to Python; `load_materials(FOLDER)` takes any folder of CIF files instead, such as one
that `friedel phases fetch` has filled.

## Splits

Every material belongs to one split, by the hash of its composition: neither polymorphs nor copies of one substance lie
on two sides. Substances of other composition may be isotypes of each other. These phases of the library, and all that
have their composition, are always kept for the test: {held_out}.

"""

ZONES = f"""
## Pairs

`friedel simulate dataset` writes a pair of a clean and a noisy pattern for each zone axis of each material. Zone axes
are distinct under the Laue class, taken by rising index up to {MAX_ZONE_INDEX}, and count if two of their reflections
that are not on one line lie within {ZONE_REACH_INV_A} 1/Å. Small cubic cells have fewer than 60.

```console
$ friedel simulate dataset --materials 435 --zones 60 --out pairs
```

"""

LAYOUT = """
- `clean` is the share of the beam in each pixel, without noise, at the same place as in `noisy`, which is what the
  camera writes. `spot_px` and `spot_share` list the spots.
- `manifest.jsonl` says for each pair what it is: material, split, zone axis, energy, thickness, tilt, rotation, scale,
  and every draw of the noise.
- A pair hangs on the seed, its material and its zone axis alone. The same command gives the same bytes, with any
  number of `--jobs`, and after being killed and resumed with `--resume`.
- `friedel.simulate.training.dataset.pairs` makes the same pairs on the fly; its `repeat` draws new settings each time.
"""


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def counts(materials: tuple[Material, ...], key: str) -> str:
    """Table of crystal systems against origin or split."""
    columns = ORIGINS if key == "origin" else SPLITS
    found = Counter((m.crystal.crystal_system, getattr(m, key)) for m in materials)
    rows = [[s, *(found[s, c] for c in columns), sum(found[s, c] for c in columns)] for s in SYSTEMS]
    total = ["all", *(sum(found[s, c] for s in SYSTEMS) for c in columns), len(materials)]
    return table(["", *columns, "all"], [*rows, total])


def full_set(materials: tuple[Material, ...]) -> str:
    """Make the full set of pairs in one process and say what it costs."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        start_cpu, start = time.process_time(), time.perf_counter()
        write_dataset(select_materials(materials, COUNT), PairOptions(), out)
        cpu, wall = time.process_time() - start_cpu, time.perf_counter() - start
        pairs = read_manifest(out)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    per_material = Counter(p["material"] for p in pairs)
    splits = Counter(p["split"] for p in pairs)
    today = dt.datetime.now(tz=dt.UTC).date()
    load = (
        f"{cpu / 60:.1f} CPU minutes, {len(pairs) / cpu:.0f} pairs a CPU second ({wall / 60:.1f} minutes by the clock"
    )
    return (
        f"Written by `docs/make/materials_page.py` on {today}, Python {platform.python_version()}, "
        f"{platform.machine()} Linux with {os.cpu_count()} cores, in one process beside other work: **{len(pairs)} "
        f"pairs** of 128 x 128 pixels in {load}), {size / 1e6:.0f} MB. {splits['train']} are for training, "
        f"{splits['validation']} for validation, {splits['test']} for the test. "
        f"{sum(n < 60 for n in per_material.values())} of {COUNT} materials have fewer than 60 zone axes; "
        f"the fewest are {min(per_material.values())}.\n"
    )


def isotypes(materials: tuple[Material, ...]) -> str:
    """One paragraph per family of isotypes."""
    families: dict[str, list[Material]] = {}
    for m in materials:
        families.setdefault(m.name.split(maxsplit=1)[1], []).append(m)
    return "".join(
        f"- **{family}** ({held[0].crystal.space_group}): {', '.join(chemical_formula(m.crystal) for m in held)}. "
        f"{held[0].crystal.source}\n"
        for family, held in families.items()
    )


def main() -> None:
    """Write the page."""
    materials = load_materials()
    of = {origin: tuple(m for m in materials if m.origin == origin) for origin in ORIGINS}
    left_out = "".join(f"- {why}: {', '.join(f'`{name}`' for name in names)}\n" for why, names in LEFT_OUT.items())
    prototypes = "".join(f"- {m.name}: {m.crystal.source.partition('; as in')[0]}\n" for m in of["prototype"])
    page = (
        HEAD.format(total=len(materials), held_out=", ".join(TEST_PHASES))
        + counts(materials, "origin") + "\n" + counts(materials, "split")
        + ZONES + full_set(materials) + LAYOUT
        + "\n## Isotypes\n\n" + isotypes(of["isotype"])
        + "\n## Prototypes that are left out, and why\n\n" + left_out
        + "\nFurther prototypes are left out because the library has the same structure.\n"
        + "\n## Prototypes\n\n" + prototypes
    )  # fmt: skip
    (Path(__file__).parents[1] / "reference" / "materials.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
