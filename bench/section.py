"""Writing one section of a page, and leaving the others as they are."""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Sequence
from pathlib import Path

SPEED = Path(__file__).parents[1] / "docs" / "bench" / "speed.md"


def made_by(command: str) -> str:
    """Say how, when and on what figures were made."""
    day = dt.datetime.now(tz=dt.UTC).date()
    return f"Made by `python {command}` on {day}, {platform.machine()}, Python {platform.python_version()}."


def write_section(page: Path, heading: str, lines: Sequence[str]) -> None:
    """Put lines under a heading of the second level; a new one comes last."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(f"\n## {heading}\n")
    _, mark, after = rest.partition("\n## ")
    section = "\n".join([f"## {heading}", "", *lines])
    page.write_text(f"{before.rstrip()}\n\n{section}\n{mark}{after}", encoding="utf-8")
