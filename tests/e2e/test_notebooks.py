"""The notebooks of the docs run from top to bottom, and hold no outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_BYTES = 20_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs_and_small(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert path.stat().st_size < MAX_BYTES


@pytest.mark.filterwarnings("default")  # of the machinery that starts a kernel; the notebook's own come as errors
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_its_values(path: Path, tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    code = "import warnings\nwarnings.filterwarnings('error', module='friedel')\n%matplotlib inline"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(code))
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [kind for cell in notebook.cells if cell["cell_type"] == "code" for kind in kinds_of(cell)]
    assert shown.count("text/html") >= 3
    assert "image/png" in shown
    assert sorted(p.name for p in tmp_path.glob("*-run/report.html"))


def kinds_of(cell: Any) -> list[str]:
    """Kinds of data that the outputs of a cell hold."""
    return [kind for output in cell["outputs"] for kind in output.get("data", {})]


def test_both_roads_have_a_notebook() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["micrograph", "scan"]
