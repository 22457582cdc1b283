from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from friedel.report.html import Picture, Report, Section, render_html, write_report
from friedel.report.style import png_of
from friedel.report.tables import Share, Table

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    """Tags with attributes, and the text, of a page; complains about tags that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def a_picture() -> Picture:
    return Picture(png_of(Figure(figsize=(3, 2))), "An empty picture.", "nothing to see")


def a_report(name: str = "O3") -> Report:
    table = Table(("phase", "d (Å)", "spots"), ((name, 1.43642, 12), ("none", float("nan"), None)), name)
    sections = (
        Section("Where each phase is", (name,), (a_picture(),), (table,)),
        Section("Settings", verbatim=f'name = "{name}"'),
    )
    return Report(name, name, (name,), (Share(name, "#e69f00", 0.4466, name),), (name,), sections)


def test_hostile_names_are_shown_and_do_nothing() -> None:
    tags = Tags(render_html(a_report(HOSTILE)))
    names = [tag for tag, _ in tags.found]
    assert "script" not in names
    assert names.count("img") == 1
    assert not any(key.startswith("on") for _, attributes in tags.found for key in attributes)
    assert tags.text.count(HOSTILE) >= 9


def test_page_asks_nothing_of_the_network() -> None:
    page = render_html(a_report())
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<link|<iframe|srcset", page.replace("data:image/png", ""))
    for _, attributes in Tags(page).found:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert "href" not in attributes
    assert "default-src 'none'" in page


def test_pictures_are_inside_with_alt_text_and_the_size_of_their_print() -> None:
    picture = a_picture()
    (image,) = [attributes for tag, attributes in Tags(render_html(a_report())).found if tag == "img"]
    assert base64.b64decode((image["src"] or "").split(",")[1]) == picture.png
    assert image["alt"] == "nothing to see"
    assert picture.size_px == (int(image["width"] or 0), int(image["height"] or 0))


def test_picture_without_alt_text_is_refused() -> None:
    with pytest.raises(ValueError, match="alt text"):
        Picture(a_picture().png, "caption", " ")


def test_answer_comes_before_warnings_and_warnings_before_evidence() -> None:
    text = Tags(render_html(a_report())).text
    assert text.index("44.7 %") < text.index("Be careful") < text.index("Where each phase is")


def test_report_without_warnings_has_no_empty_warning_box() -> None:
    assert "Be careful" not in Tags(render_html(Report("t", "s", ("v",)))).text


def test_cells_read_well_and_nothing_is_a_dash() -> None:
    text = Tags(render_html(a_report())).text
    assert "1.436" in text
    assert "1.43642" not in text
    assert "nan" not in text.lower().replace("nanometre", "")
    assert text.count("–") == 2


def test_page_fits_a_phone_the_dark_and_paper() -> None:
    page = render_html(a_report())
    for promise in ('name="viewport"', "prefers-color-scheme: dark", "@media print", 'lang="en"'):
        assert promise in page


def test_report_is_written_as_one_file_in_utf8(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", a_report("Li₂O Å"))
    assert "Li₂O Å" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 1
