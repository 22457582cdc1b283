"""Options that are written as text with commas and colons."""

from __future__ import annotations

import typer


def phase_list(text: str | None) -> tuple[str, ...] | None:
    """Parse ``lif,li2o,mine.cif``."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise typer.BadParameter("name at least one phase, e.g. lif,li2o or a path to a .cif file")
    return names


def float_pair(text: str | None) -> tuple[float, float] | None:
    """Parse ``LO,HI``."""
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"two numbers with a comma are expected, e.g. 0.3,0.9; got {text!r}") from None
    return low, high


def int_pair(text: str | None) -> tuple[int, int] | None:
    """Parse ``NY,NX``."""
    if text is None:
        return None
    try:
        first, second = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"two whole numbers with a comma are expected, e.g. 256,256; got {text!r}") from None
    return first, second


def index_range(text: str | None) -> tuple[int, int] | None:
    """Parse ``A:B``."""
    if text is None:
        return None
    try:
        start, stop = (int(part) for part in text.split(":"))
    except ValueError:
        raise typer.BadParameter(f"a range A:B is expected, e.g. 0:100; got {text!r}") from None
    return start, stop


def rectangle(text: str | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Parse ``Y0:Y1,X0:X1``."""
    if text is None:
        return None
    rows, comma, columns = text.partition(",")
    first, second = index_range(rows), index_range(columns) if comma else None
    if first is None or second is None:
        raise typer.BadParameter(f"a rectangle Y0:Y1,X0:X1 is expected, e.g. 0:64,32:96; got {text!r}")
    return first, second
