from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from friedel.core.grids import RealGrid
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.pipeline.runs.files import (
    COMPONENT_COLUMNS,
    Summary,
    write_components,
    write_phase_map,
    write_spots,
    write_summary,
)
from friedel.pipeline.runs.folder import RUN_ENTRIES

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "run-folder.md"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    presence = np.random.default_rng(0).random((4, 5, 2), dtype=np.float32)
    phase_map = PhaseMap(("O3", "O1"), presence, np.ones((4, 5), bool), RealGrid((20.0, 20.0)))
    offsets = np.concatenate([[0, 1, 3], np.full(18, 3)])
    spots = Spots(np.full((3, 2), 0.5), np.full((3, 2), 0.01), np.ones(3), np.ones(3), offsets, (4, 5))
    folder = tmp_path / "RUN"
    folder.mkdir()
    write_phase_map(folder / "phase_map.zarr", phase_map, min_probability=0.5)
    write_spots(folder / "spots.zarr", spots)
    write_summary(folder / "summary.json", Summary("scan", ("O3", "O1"), phase_map.fractions(), {}, 20, 3))
    write_components(folder / "components.csv", [dict.fromkeys(COMPONENT_COLUMNS, 1)])
    return folder


def test_examples_of_the_page_run_as_printed(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parent)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)
    assert len(blocks) == 5
    np.testing.assert_allclose(names["d_a"], [2**0.5] * 2)
    assert "O3: present in" in capsys.readouterr().out


def test_page_names_every_file_that_a_run_may_write() -> None:
    assert set(re.findall(r"^\| `([^`]+)`", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)) == RUN_ENTRIES
