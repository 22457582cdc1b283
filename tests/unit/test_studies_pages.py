"""The index of the studies says of each page what the page says."""

import sys
from pathlib import Path

STUDIES = Path(__file__).parents[2] / "studies"
sys.path.insert(0, str(STUDIES))

import pages  # noqa: E402


def test_the_index_repeats_title_and_verdict_under_the_right_paper(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    for name, paper in (("one", "HRTEM"), ("two", "4D-STEM")):
        pages.write_page(
            pages.Page(name, f"Title of {name}", paper, f"Verdict\nof {name}.", "## Text\n\nBody.", "Seed 0.")
        )
    index = (tmp_path / "index.md").read_text(encoding="utf-8")
    hrtem, _, rest = index.partition("## The 4D-STEM paper")
    assert "| [Title of one](one.md) | Verdict of one. |" in hrtem
    assert "| [Title of two](two.md) | Verdict of two. |" in rest
    assert "Body" not in index


def test_every_page_of_a_study_is_in_the_index_and_has_its_script():
    index = (pages.FOLDER / "index.md").read_text(encoding="utf-8")
    names = [path.stem for path in pages.FOLDER.glob("*.md") if path.stem != "index"]
    assert names
    for name in names:
        assert f"]({name}.md)" in index
        assert (STUDIES / f"{name.replace('-', '_')}.py").is_file()
