"""Writing one section of a page, and leaving the others as they are."""

from __future__ import annotations

import datetime as dt
import platform
import textwrap
from collections.abc import Sequence
from pathlib import Path

SPEED = Path(__file__).parents[1] / "docs" / "bench" / "speed.md"


def made_by(command: str, words: str) -> list[str]:
    """Say how, when and on what figures were made, and what they are."""
    day = dt.datetime.now(tz=dt.UTC).date()
    made = f"Made by `python {command}` on {day}, {platform.machine()}, Python {platform.python_version()}."
    return textwrap.wrap(f"{made} {words}", 120, break_on_hyphens=False)


def write_section(page: Path, heading: str, lines: Sequence[str]) -> None:
    """Put lines under a heading of the second level; a new one comes last."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(f"\n## {heading}\n")
    _, mark, after = rest.partition("\n## ")
    section = "\n".join([f"## {heading}", "", *lines])
    page.write_text(f"{before.rstrip()}\n\n{section}\n{mark}{after}", encoding="utf-8")
