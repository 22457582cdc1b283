"""The claims of the 4D-STEM paper one by one, with the numbers of the other pages: run it after those are written.

python studies/claims.py [--write]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from pages import FOLDER, Page, table, write_page
from paths import ROOT

_AGREES, _PARTLY, _NOT, _OPEN = "found here too", "in part", "not found here", "cannot be tested"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    rows = [(f"{i}. {claim.text}", claim.verdict, claim.why) for i, claim in enumerate(claims(), start=1)]
    text = f"{ABOUT}\n\n{table(('the text says', 'verdict', 'why'), rows)}\n\n{WHAT_IS_LACKING}"
    print(text)
    if args.write:
        counts = {v: sum(row[1] == v for row in rows) for v in (_AGREES, _PARTLY, _NOT, _OPEN)}
        says = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
        write_page(Page("claims", "The claims of the 4D-STEM paper, one by one", "4D-STEM",
                        f"Of {len(rows)} claims: {says}.", text, "No computing of its own."))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """What the text says, what came of it, and why."""

    text: str
    verdict: str
    why: str


def claims() -> list[Claim]:
    """Claims in the order of the text, what came of them, and why."""
    return [
        Claim(
            "435 materials along 60 zone axes make over 28,000 patterns",
            _NOT,
            f"435 × 60 is 26,100; with the crystals at hand it is {cell('pairs', '', 'pairs', 'the set')}, since some "
            "have fewer zone axes with two rows of reflections ([pairs](pairs.md)).",
        ),
        Claim(
            "A composite noise of counting, halo, blur, salt and pepper, dimmed spots and beam stops stands for the "
            "experiment",
            _OPEN,
            "All parts are there ([pairs](pairs.md)); how like their camera they are, only their patterns could tell.",
        ),
        Claim(
            "A dense U-Net is to be preferred to a U-Net, for deeper global features",
            _NOT,
            "With 4 core-minutes each a U-Net has the better F1 of spots at 1000 electrons, "
            f"{_architecture('unet-16-s2')} against {_architecture('rdunet-16-s2')} "
            "([architectures](../bench/denoiser.md#architectures)). A training of days may end otherwise.",
        ),
        Claim(
            "Trained on such pairs, a network denoises patterns of crystals that it has not seen",
            _AGREES,
            "Friedel's network, a U-Net trained on patterns made in this way, does: at 1000 electrons PSNR rises from "
            f"{_denoiser('PSNR of the stabilised pattern, dB', 'none')} to "
            f"{_denoiser('PSNR of the stabilised pattern, dB', _NETWORK)} dB and F1 of spots from "
            f"{_denoiser('F1 of spots', 'none')} to {_denoiser('F1 of spots', _NETWORK)} "
            "([denoiser](../bench/denoiser.md)). Their network is not published; a small one of its kind, trained once "
            f"for minutes on stored pairs, takes PSNR of raw patterns from {_rdunet(_CLEAN, 'none')} to "
            f"{_rdunet(_CLEAN, 'RDUNet')} dB and F1 from {_rdunet('F1 of spots', 'none')} to "
            f"{_rdunet('F1 of spots', 'RDUNet')} ([rdunet](rdunet.md)).",
        ),
        Claim(
            "Spots are found by a difference of Gaussians in an annulus",
            _AGREES,
            "It is what friedel does too, with a threshold that follows from counting statistics "
            "([hexagons](hexagons.md)).",
        ),
        Claim(
            "Hexagons through two random spots, kept if enough vertices lie near spots, find the phases",
            _PARTLY,
            f"On raw patterns of {_TOP} electrons {_right('Lo and Su, raw')} of the positions get their right label. "
            "On multislice patterns with tilts, among rock salt and spinel, it is "
            f"{_right('Lo and Su, raw', which=1)} ([dose](dose.md)).",
        ),
        Claim(
            "The radius relative to learned ring radii separates O1 from O3",
            _PARTLY,
            "Radii differ by 1.70. Learned rings forgive a scale that is 5 % off "
            f"({_ring('scale +5 %', 'learned')} right, computed ones {_ring('scale +5 %', 'computed')}); a lone ring "
            "must be guessed to be that of O3, and the ring of O3 is one that O1 has too ([dose](dose.md)).",
        ),
        Claim(
            "Grey positions hold both phases",
            _NOT,
            f"Pure O1 has {{110}} at O3's radius: {_share('O1', 'called both')} of it is called both "
            "([distribution](distribution.md)).",
        ),
        Claim(
            "After denoising, O3 and O1 are identified accurately at an extremely low signal-to-noise ratio",
            _PARTLY,
            f"At 300 electrons denoising takes the paper's steps from {_right('Lo and Su, raw', 300)} to "
            f"{_right('Lo and Su, denoised', 300)} of positions right, friedel has {_right('friedel', 300)} "
            "([dose](dose.md)).",
        ),
        Claim(
            "The workflow maps O1 and O3 in a particle of NMC811",
            _OPEN,
            "Neither scan nor truth was published. On a simulated one the map is right in "
            f"{cell('distribution', '', 'Lo and Su, denoised', 'right')} of the positions, friedel's in "
            f"{cell('distribution', '', 'friedel', 'right')} ([distribution](distribution.md)).",
        ),
        Claim(
            "It can be extended to other materials with little manual work",
            _NOT,
            "Hexagons ask for a six-fold zone, and a radius alone names no phase: rock salt among O3 and O1 is called "
            f"{_mimic('rock salt')} ([distribution](distribution.md)). Friedel lays the nets of any phase onto the "
            "spots instead ([how it decides](../concepts/how-it-decides.md)).",
        ),
    ]


_TOP, _NETWORK = "10000", "network's pattern"
_CLEAN = "PSNR (dB) / SSIM against the clean pattern, without halo and blur"


def cell(page: str, corner: str, row: str, column: str, which: int = 0) -> str:
    """Read a cell of the table on a page whose head begins with this corner and holds this column."""
    text = (FOLDER / f"{page}.md").read_text(encoding="utf-8")
    tables = [t for t in tables_of(text) if t[0][0].startswith(corner) and column in t[0]
              and any(line[0] == row for line in t)]  # fmt: skip
    head, *lines = tables[which]
    return next(line[head.index(column)] for line in lines if line[0] == row)


def tables_of(text: str) -> list[list[list[str]]]:
    """Tables of a page in Markdown as rows of cells, the head first, without the line below it."""
    found: list[list[list[str]]] = []
    is_inside = False
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [part.strip() for part in line.strip().strip("|").split("|")]
            if not is_inside:
                found.append([])
            if set("".join(cells)) - set("-:"):
                found[-1].append(cells)
            is_inside = True
        else:
            is_inside = False
    return found


def _architecture(name: str) -> str:
    text = (ROOT / "docs" / "bench" / "denoiser.md").read_text(encoding="utf-8")
    head, *lines = next(t for t in tables_of(text) if t[0][0].startswith("family"))
    return next(line[head.index("F1 at 1000")] for line in lines if line[0] == name)


def _denoiser(title: str, way: str) -> str:
    return _at_1000(ROOT / "docs" / "bench" / "denoiser.md", title, way)


def _rdunet(title: str, way: str) -> str:
    return _at_1000(FOLDER / "rdunet.md", title, way)


def _at_1000(page: Path, title: str, way: str) -> str:
    """Read what a table of a page says of a way at 1000 electrons, without its error."""
    head, *lines = tables_of(page.read_text(encoding="utf-8").partition(f"### {title}\n")[2])[0]
    return next(line[head.index("1000")] for line in lines if line[0] == way).partition(" ")[0]


def _right(way: str, dose: str | int = _TOP, which: int = 0) -> str:
    return f"{100 * float(cell('dose', 'positions', way, str(dose), which)):.0f} %"


def _ring(case: str, column: str) -> str:
    return f"{100 * float(cell('dose', 'case', case, column)):.0f} %"


def _share(truth: str, column: str) -> str:
    """Share of the positions of one kind that the paper's steps on denoised patterns call so."""
    text = (FOLDER / "distribution.md").read_text(encoding="utf-8")
    head, *lines = next(t for t in tables_of(text) if t[0][:2] == ["way", "truth"])
    found = next(line for line in lines if line[:2] == ["Lo and Su, denoised", truth])
    return f"{100 * float(found[head.index(column)]):.0f} %"


def _mimic(name: str) -> str:
    """Say how often a class of the multislice scan is called O3 or O1 by the paper's steps."""
    column = "Lo and Su, denoised: O3 / O1 / both / neither"
    o3, o1, both, _ = (float(part) for part in cell("distribution", "truth, multislice", name, column).split(" / "))
    return f"one of them at {100 * (o3 + o1 + both):.0f} % of its positions"


ABOUT = """Each claim of the text that can be true or false, in its order. The numbers are those of the other pages."""
WHAT_IS_LACKING = """## What is lacking

The text has neither code nor data, and leaves out what would be needed to do it again: the list of materials, the
size of patterns and network, loss and epochs, the strength of each noise, width and threshold of the detector,
tolerance and number of vertices, how ring radii are learned, and any score. What we chose in their place is on each
page; it was chosen to suit the paper's way, on other data than those judged by."""


if __name__ == "__main__":
    main()
