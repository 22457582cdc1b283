"""Python blocks of the pages run as they stand, page by page, beside a small demo."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import friedel as fr
from friedel.simulate.micrographs.micrograph import sei_micrograph
from friedel.simulate.patterns.scan import ScanOptions, simulate_nmc811_scan

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
NEEDS = "# needs "
#: This page has a test of its own, with runs whose figures are known.
ELSEWHERE = ROOT / "docs" / "reference" / "run-folder.md"
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page != ELSEWHERE and BLOCK.search(page.read_text(encoding="utf-8"))
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with small files of the names that the demo and the pages use."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "demo").mkdir()
    scan, _ = simulate_nmc811_scan(0, ScanOptions(scan_shape=(19, 6)))
    fr.write_scan(folder / "demo" / "nmc811.zarr", scan)
    fr.write_micrograph(folder / "demo" / "sei.mrc", sei_micrograph(0, (256, 256))[0])
    recipe = fr.Recipe(input=str(folder / "demo" / "nmc811.zarr"), phases=("nmc811-o3", "nmc811-o1"))
    fr.run_recipe(recipe, folder / "scan-run")
    shutil.copytree(folder / "scan-run", folder / "demo" / "nmc811-run")
    words = ["simulate", "series", "--frames", "10", "--shape", "192,192", "--out", "series.mrc", "--truth", "t.zarr"]
    code = "from friedel.cli.main import app; app()"
    subprocess.run([sys.executable, "-c", code, *words], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_run(page: Path, demo: Path) -> None:
    blocks = [block for block in BLOCK.findall(page.read_text(encoding="utf-8")) if not block.startswith(NEEDS)]
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=demo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_few_blocks_are_left_out() -> None:
    blocks = [block for page in PAGES for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    assert sum(block.startswith(NEEDS) for block in blocks) <= 2 < len(blocks)
