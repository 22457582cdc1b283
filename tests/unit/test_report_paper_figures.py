"""Figures at the width of a column: panels, legible text, scale bars, what is shown where."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnchoredOffsetbox
from matplotlib.text import Text
from PIL import Image

from friedel.core.errors import DataError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import Micrograph, Pattern
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.report.colours import phase_colours
from friedel.report.comparison import plot_comparison
from friedel.report.diffraction import hexagon
from friedel.report.figures import COLUMN_IN, Slice, draw_detection, draw_distribution, draw_evolution
from friedel.report.series import ComponentCurve
from friedel.report.style import png_of

PHASES = ("o3", "o1")


def phase_map(ny: int = 6, nx: int = 9) -> PhaseMap:
    presence = np.zeros((ny, nx, 2), np.float32)
    presence[: ny // 2, :, 0] = 1.0
    presence[:, nx // 2 :, 1] = 0.8
    return PhaseMap(PHASES, presence, np.ones((ny, nx), bool), RealGrid((20.0, 20.0)))


def detection() -> tuple[Axes, ...]:
    grid = ReciprocalGrid((0.02, 0.02), (40.0, 48.0))
    k = np.array([[0.5, 0.0], [0.0, 0.5], [0.0, -0.72]])
    spots = Spots(k, np.full((3, 2), 0.003), np.ones(3), np.full(3, 9.0), np.array([0, 3]))
    counts = np.random.default_rng(0).poisson(2.0, (80, 96)).astype(float)
    outlines = [hexagon("O3", phase_colours(PHASES)["o3"], 0.5, 0.2)]
    return draw_detection(Pattern(counts, grid), Pattern(counts / 2, grid), spots, outlines, (0.3, 0.6))


def distribution() -> tuple[Axes, ...]:
    roi = np.zeros((20, 30), bool)
    roi[4:10, 5:14] = True
    return draw_distribution(np.random.default_rng(0).random((20, 30)), RealGrid((20.0, 20.0)), roi, phase_map())


def evolution(n_slices: int = 2) -> tuple[Axes, ...]:
    t = np.arange(12.0)
    curves = [ComponentCurve("o3", "0 0 2", 12 - t), ComponentCurve("o1", "1 0 0", t, onset=3)]
    image = Micrograph(np.random.default_rng(0).random((60, 90)), RealGrid((2.0, 2.0)))
    slices = [Slice(f"frame {i}", image, phase_map(), (i, 0.0)) for i in range(n_slices)]
    return draw_evolution(curves, PHASES, t, "frame", slices)


@pytest.mark.parametrize("draw", [detection, distribution, evolution])
def test_figure_fits_a_column_with_text_that_is_legible_there(draw) -> None:
    axes = draw()
    figure = axes[0].get_figure(root=True)
    assert figure.get_figwidth() == COLUMN_IN
    picture = Image.open(io.BytesIO(png_of(axes[0], dpi=100)))
    assert picture.width <= 100 * (COLUMN_IN + 0.35)  # nothing stands out at the sides but some of a legend
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert len(sizes) > 5
    assert min(sizes) >= 6.5


def test_every_panel_with_a_scale_has_one_bar() -> None:
    for axes in (detection(), distribution(), evolution()[1:]):
        assert [len(ax.findobj(AnchoredOffsetbox)) for ax in axes] == [1] * len(axes)


def test_hexagons_and_spots_have_a_panel_each() -> None:
    raw, denoised, fitted, spots = detection()
    assert [len(ax.lines) for ax in (raw, denoised)] == [0, 0]
    colour = phase_colours(PHASES)["o3"]
    assert [line.get_color() for line in fitted.lines] == [colour]
    marks = {str(line.get_marker()): len(line.get_xdata()) for line in spots.lines if line.get_ls() == "None"}
    assert marks == {"x": 2, "^": 1}
    assert float(np.max(spots.images[0].get_array())) == 0.0


def test_onsets_are_marked_and_slices_named() -> None:
    top, *below = evolution()
    triangles = [line for line in top.findobj(Line2D) if line.get_marker() == "^"]
    assert [float(line.get_xdata()[0]) for line in triangles] == [3.0]
    assert [ax.get_title(loc="left") for ax in below] == ["(B) frame 0", "(C) frame 1"]
    for n in (0, 4):
        with pytest.raises(DataError, match=f"got {n}"):
            evolution(n)


def test_comparison_says_per_cent_and_leaves_out_what_is_not_known() -> None:
    ax = plot_comparison(["a", "b"], PHASES, np.array([[0.125, 0.5], [np.nan, 0.0]]))
    assert [text.get_text() for text in ax.texts] == ["12.5", "50.0", "0.0"]
