"""The modules of a room, from what each says of itself: ``python docs/make/rooms_page.py ROOM``."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path


def modules_of_room(room: str) -> str:
    """Markdown table of the modules of a package of friedel, with the first sentence of each."""
    spec = find_spec(f"friedel.{room}")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    rows = [row_of(folder, path) for path in sorted(folder.rglob("*.py")) if first_line(path)]
    return "\n".join(["| module | holds |", "|---|---|", *rows])


def row_of(folder: Path, path: Path) -> str:
    """One line of the table; a package goes by its folder."""
    name = path.relative_to(folder).with_suffix("").as_posix().removesuffix("__init__").rstrip("/")
    return f"| `{name or folder.name}` | {first_line(path)} |"


def first_line(path: Path) -> str:
    """First line of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    print(modules_of_room(sys.argv[1]))
