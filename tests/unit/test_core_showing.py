"""Values show themselves in a notebook: what they hold, where their scale comes from; names from files are text."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

import friedel as fr
from friedel.core.showing import png_of

REAL = fr.RealGrid((3.7, 3.7), "user", 0.005)
RECIPROCAL = fr.ReciprocalGrid((0.02, 0.02), (15.5, 11.5))
HOSTILE = "<script>alert(1)</script>\" onload='x'"


class Reads:
    """A lazy array that counts the elements that are read from it."""

    def __init__(self, data: np.ndarray) -> None:
        self._data, self.n_read = data, 0
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        part = self._data[key]
        self.n_read += part.size
        return part


class Tags(HTMLParser):
    """Names of all tags, and of their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.depth = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.depth += tag != "img"

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1


def pictures_of(value: Any) -> list[np.ndarray]:
    found = re.findall(r"data:image/png;base64,([^\"]+)", value._repr_html_())
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


def spots() -> fr.Spots:
    k = np.array([[0.4, 0.0], [-0.4, 0.1], [0.0, 0.4]])
    return fr.Spots(k, np.full((3, 2), 0.01), np.ones(3), np.full(3, 9.0), np.array([0, 1, 3]), (1, 2))


def phase_map(names: tuple[str, ...] = ("lif", "li")) -> fr.PhaseMap:
    presence = np.zeros((6, 8, len(names)), np.float32)
    presence[:3, :, 0] = 1
    return fr.PhaseMap(names, presence, np.ones((6, 8), bool), REAL)


VALUES: dict[str, Callable[[], Any]] = {
    "micrograph": lambda: fr.Micrograph(np.arange(600.0).reshape(20, 30), REAL, fr.Beam(300.0)),
    "series": lambda: fr.MicrographSeries(np.ones((5, 20, 30)), REAL, time_s=np.arange(1.0, 6.0)),
    "pattern": lambda: fr.Pattern(np.ones((32, 24)), RECIPROCAL),
    "scan": lambda: fr.PatternScan(np.ones((4, 6, 32, 24), np.uint16), RECIPROCAL, REAL),
    "map": phase_map,
    "spots": spots,
}
SAID = {
    "micrograph": ["20 × 30 px", "0.37 nm", "7.4 × 11.1 nm", "from user, known to 0.5 %", "300 keV"],
    "series": ["5 frames, 5 s", "20 × 30 px"],
    "pattern": ["32 × 24 px", "0.02 1/Å", "from metadata, known to 1.5 %", "(15.50, 11.50) px"],
    "scan": ["4 × 6 positions", "1.48 × 2.22 nm in all", "32 × 24 px of uint16", "mean of 9 patterns"],
    "map": ["lif", "50.0 %", "none", "6 × 8 positions"],
    "spots": ["3 spots in 2 patterns", "0.4 to 0.412 1/Å"],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_says_what_it_holds_and_shows_it(name: str) -> None:
    value = VALUES[name]()
    text = value._repr_html_()
    assert [fact for fact in SAID[name] if fact not in text] == []
    assert pictures_of(value)
    assert Tags(text).depth == 0
    assert len(text) < 60_000


@pytest.mark.parametrize("name", VALUES)
def test_in_a_terminal_a_value_is_one_short_line(name: str) -> None:
    text = repr(VALUES[name]())
    assert "\n" not in text
    assert [fact for fact in SAID[name] if fact not in text and not fact.startswith("mean of")] == []
    assert len(text) < 250


def test_lazy_data_are_not_read_whole() -> None:
    data = Reads(np.ones((40, 50, 16, 16), np.uint16))
    scan = fr.PatternScan(data, RECIPROCAL)
    repr(scan)
    assert data.n_read == 0
    scan._repr_html_()
    assert 0 < data.n_read <= 9 * 16 * 16
    frames = Reads(np.ones((70, 16, 16)))
    fr.MicrographSeries(frames, REAL)._repr_html_()
    assert 0 < frames.n_read <= 3 * 16 * 16


def test_names_from_files_are_text() -> None:
    html = phase_map((HOSTILE, "li"))._repr_html_()
    found = Tags(html)
    assert found.tags <= {"div", "strong", "table", "tr", "th", "td", "figure", "img", "figcaption"}
    assert "onload" not in found.attributes
    source: Any = HOSTILE
    shown = Tags(fr.Micrograph(np.eye(4), replace(REAL, source=source))._repr_html_())
    assert "script" not in shown.tags
    assert "onload" not in shown.attributes


def test_thumbnail_is_small_and_keeps_rows_and_columns() -> None:
    data = np.zeros((1000, 500))
    data[:500] = 1.0  # bright above, dark below
    picture = pictures_of(fr.Micrograph(data, REAL))[0]
    assert max(picture.shape) <= 160
    assert picture.shape[0] > 1.9 * picture.shape[1]
    assert picture[10].min() == 255
    assert picture[-10].max() == 0


def test_pixels_that_are_not_square_are_drawn_so() -> None:
    text = fr.Micrograph(np.eye(20), fr.RealGrid((2.0, 1.0)))._repr_html_()
    width, height = map(int, re.findall(r'width="(\d+)" height="(\d+)"', text)[0])
    assert height == 2 * width


def test_pixels_that_tell_nothing_may_be_nan() -> None:
    data, valid = np.ones((32, 24)), np.ones((32, 24), bool)
    data[0, 0], valid[0, 0] = np.nan, False
    text = fr.Pattern(data, RECIPROCAL, valid)._repr_html_()
    assert "1 px tell nothing" in text
    assert "nan" not in text


def test_lost_patterns_and_pixels_do_not_hide_the_others() -> None:
    data = np.random.default_rng(5).random((3, 3, 32, 24), np.float32)
    data[0, 0], data[..., 4, 5] = np.nan, np.nan
    (shown,) = pictures_of(fr.PatternScan(data, RECIPROCAL))
    assert np.ptp(shown) == 255


def test_no_spots_are_shown_without_a_picture() -> None:
    assert "0 spots" in fr.Spots.empty()._repr_html_()


def test_png_is_read_back_by_another_program() -> None:
    grey = np.random.default_rng(0).random((7, 5))
    read = np.asarray(Image.open(io.BytesIO(png_of(grey))))
    np.testing.assert_array_equal(read, np.rint(255 * grey))
