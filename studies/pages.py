"""The pages of the studies, their pictures, and the index that lists them with their verdicts."""

from __future__ import annotations

import datetime as dt
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paths import ROOT
from picture_files import save

FOLDER = ROOT / "docs" / "studies"
Paper = Literal["HRTEM", "4D-STEM"]
PAPERS: dict[Paper, str] = {
    "HRTEM": "G. Raghavendran et al., Journal of Microscopy (2025), doi:10.1111/jmi.13413",
    "4D-STEM": "P. M. E. Lo and F. Su, University of Cambridge, "
    "*Towards Automated Materials Analysis: Deep Learning Denoising and Phase Identification from 4D-STEM*",
}
_HEAD = """# Studies

The claims of the two papers that friedel builds on, tried again: what each says, what comes out on data whose truth is
known, and what friedel's own way gives on the same data. No data of the papers' authors were used: all are simulated,
or public with a source that the page names. Each page is written by the script of its name in `studies/`.
"""
_VERDICT, _OF = "**Verdict.** ", "*A study of the {} paper.*"


@dataclass(frozen=True, slots=True)
class Page:
    """One study as a page.

    Parameters
    ----------
    name
        Of the script and the page, without ending.
    title
        What is asked.
    paper
        Whose claim it is.
    verdict
        The answer in a sentence or two; the index repeats it.
    text
        All else, in Markdown with headings of the second level.
    cost
        Seeds, sizes and time: what it takes to do it again.
    """

    name: str
    title: str
    paper: Paper
    verdict: str
    text: str
    cost: str


def write_page(page: Page) -> Path:
    """Write the page of a study, and the index of all pages that are there."""
    made = f"Made by `python studies/{page.name.replace('-', '_')}.py --write` on {today_and_machine()}. {page.cost}"
    parts = (f"# {page.title}", _OF.format(page.paper), _VERDICT + page.verdict, page.text.strip(), f"*{made}*")
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{page.name}.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    (FOLDER / "index.md").write_text(index_of(FOLDER), encoding="utf-8")
    return path


def index_of(folder: Path) -> str:
    """Text of the index: the pages of each paper with their verdicts."""
    head = _HEAD
    pages = [(path, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.md")) if path.stem != "index"]
    for paper, source in PAPERS.items():
        rows = [(f"[{_title_of(text)}]({path.name})", _verdict_of(text)) for path, text in pages
                if _OF.format(paper) in text]  # fmt: skip
        if rows:
            head += f"\n## The {paper} paper\n\n{source}\n\n{table(('study', 'verdict'), rows)}\n"
    return head + "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def _title_of(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ")


def _verdict_of(text: str) -> str:
    return text.partition(_VERDICT)[2].partition("\n\n")[0].replace("\n", " ")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def today_and_machine() -> str:
    """Say when and where: the date, and the kind of processor."""
    return f"{dt.datetime.now(dt.UTC).date()}, {platform.machine()}, Python {platform.python_version()}"


def cpu_minutes() -> str:
    """Processor time of this process so far."""
    return f"{time.process_time() / 60.0:.1f} core-minutes"


def save_picture(name: str, drawing: Axes | Figure, caption: str, dpi: int = 130) -> str:
    """Write a picture among those of the docs and return its Markdown, for a page of the studies."""
    save(f"study-{name}", drawing, dpi)
    alt = " ".join(caption.partition(".")[0].partition(":")[0].split())
    return f"![{alt}](../pictures/study-{name}.png)\n\n*{caption}*"
