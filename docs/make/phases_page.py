"""Write docs/reference/phases.md: the phases of the library with their cells and sources."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from friedel.crystal import Crystal, chemical_formula, density_g_cm3, load_phase, reflections

HEAD = """# The phase library

{count} phases ship with friedel as CIF files in `friedel/crystal/library`, written from published cell parameters and
atomic positions. `friedel phases show NAME` prints one, `friedel phases add FILE.cif` adds your own. Names do not mind
case and punctuation: `LiF`, `lif`, `NMC811 O3` and `nmc811-o3` are understood.

`friedel phases fetch` brings structures from any OPTIMADE server, or from the Materials Project with the key in
`MP_API_KEY`, into your own library or the folder of `--out`:

```console
$ friedel phases fetch --optimade https://optimade.materialsproject.org --elements Li,F
$ friedel phases fetch --ids mp-1138,mp-1265
```

- Each structure is brought to the conventional cell of its space group, which is sought in the atoms (within 0.01 Å,
  or 0.1 Å where the server names another), whatever cell it comes in. Partial occupancies and vacancies are kept.
- What cannot be trusted is left out, with the reason: atoms without places, sites that do not add up, two or fewer
  dimensions, atoms nearer than any bond, another space group than the server names.
- `fetched.jsonl` beside the files says where each comes from: id, address, versions, times, symmetry, SHA-256. What is
  there is kept, so that an interrupted fetch goes on.
- Computed structures have computed lattice constants, often 1 % off: enough to take one phase for another.

About the table:

- Lengths are in Å. The last three columns are computed from the file: density in g/cm³, and the longest d-spacing and
  the one of the strongest reflection (down to 0.8 Å, kinematic, electrons) in Å.
- No file states displacement parameters: B = 0.5 Å² is taken for every site, a usual value of inorganic crystals at
  room temperature. Soft crystals such as lithium and ice scatter less to high angles than computed.
- Atoms are neutral in the scattering factors (International Tables C, table 4.3.2.2), also in ionic crystals.
- Where a cell or a position was rounded or estimated, the source says so.

This page is written by `docs/make/phases_page.py`.

| name | formula | space group | a, b, c | angles (deg) | density | longest d | strongest d |
|---|---|---|---|---|---|---|---|
"""


def row(crystal: Crystal) -> str:
    """One line of the table."""
    table = reflections(crystal, 0.8)
    lengths, angles = (" ".join(f"{x:g}" for x in part) for part in (crystal.cell[:3], crystal.cell[3:]))
    strongest = table.d_a[table.f2.argmax()]
    values = f"{density_g_cm3(crystal):.2f} | {table.d_a[0]:.3f} | {strongest:.3f}"
    group = f"{crystal.space_group} ({crystal.space_group.number})"
    return f"| {crystal.name} | {chemical_formula(crystal)} | {group} | {lengths} | {angles} | {values} |\n"


def main() -> None:
    """Write the page."""
    entries = (files("friedel.crystal") / "library").iterdir()
    crystals = [load_phase(name) for name in sorted(entry.name.removesuffix(".cif") for entry in entries)]
    sources = "".join(f"- **{crystal.name}**: {crystal.source}\n" for crystal in crystals)
    page = HEAD.format(count=len(crystals)) + "".join(map(row, crystals)) + "\n## Sources\n\n" + sources
    (Path(__file__).parents[1] / "reference" / "phases.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
