from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox
from matplotlib.patches import Circle, Rectangle
from matplotlib.text import Text
from PIL import Image

from friedel.core.errors import DataError
from friedel.core.grids import RealGrid, ReciprocalGrid
from friedel.core.images import Micrograph, Pattern
from friedel.core.phase_map import PhaseMap
from friedel.core.spots import Spots
from friedel.report.colours import MIXED, NONE, appearance, palette, phase_colours
from friedel.report.diffraction import (
    Ring,
    hexagon,
    plot_diffractogram,
    plot_pattern,
    plot_radial_profile,
    plot_radius_histogram,
    ring_contrast,
)
from friedel.report.maps import (
    phase_rgb,
    plot_micrograph,
    plot_phase_map,
    plot_phase_overlay,
    plot_presence,
    plot_virtual_image,
)
from friedel.report.scale_bar import add_scale_bar, real_label, reciprocal_label, round_length
from friedel.report.series import film_of
from friedel.report.style import outline_segments, png_of

GRID = ReciprocalGrid((0.02, 0.02), (32.0, 40.0))


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.findobj(Text) if isinstance(text, Text)]


def spots_at(k_inv_a: list[tuple[float, float]]) -> Spots:
    n = len(k_inv_a)
    k = np.reshape(k_inv_a, (n, 2))
    return Spots(k, np.full((n, 2), 0.003), np.ones(n), np.full(n, 9.0), np.array([0, n]))


def two_phases(valid: np.ndarray | None = None) -> PhaseMap:
    presence = np.zeros((3, 4, 2), np.float32)
    presence[0, :, 0] = (0.5, 0.7, 0.9, 1.0)
    presence[1, :2] = (0.9, 0.9)
    presence[1, 2:, 1] = 1.0
    return PhaseMap(("O3", "O1"), presence, np.ones((3, 4), bool) if valid is None else valid, RealGrid((20.0, 20.0)))


def bar_of(ax: Axes) -> tuple[float, str]:
    (plate,) = [a for a in ax.artists if isinstance(a, AnchoredOffsetbox)]
    (bar,) = [a for a in plate.findobj(Rectangle) if isinstance(a, Rectangle) and a.get_width() > 0]
    label = next(t.get_text() for t in plate.findobj(Text) if isinstance(t, Text) and t.get_text())
    return bar.get_width(), label


@pytest.mark.parametrize(
    ("grid", "width_px", "size", "label"),
    [
        (RealGrid((0.37, 0.37)), 4096, 200 / 0.37, "20 nm"),
        (RealGrid((5.0, 20.0)), 90, 500 / 20, "50 nm"),
        (RealGrid((0.1, 0.1)), 100, 20, "2 Å"),
        (RealGrid((100.0, 100.0)), 1000, 200, "2 µm"),
        (ReciprocalGrid((0.02, 0.022), (0, 0)), 128, 0.5 / 0.022, "0.5 1/Å"),
        (ReciprocalGrid((0.001, 0.001), (0, 0)), 128, 20, "0.2 1/nm"),
        (None, 64, 10, "10 px"),
    ],
)
def test_scale_bar_is_as_long_as_it_says(
    grid: RealGrid | ReciprocalGrid | None, width_px: float, size: float, label: str
) -> None:
    ax = Figure().add_subplot()
    ax.set_xlim(-0.5, width_px - 0.5)
    add_scale_bar(ax, grid, width_px)
    assert bar_of(ax) == (pytest.approx(size), label)


def test_drawn_bar_covers_its_share_of_the_picture() -> None:
    ax = plot_micrograph(Micrograph(np.zeros((100, 100)), RealGrid((1.0, 1.0))))
    picture = np.asarray(Image.open(io.BytesIO(png_of(ax))).convert("L"))
    longest = max(
        max(len(run) for run in "".join("x" if v > 250 else " " for v in row).split(" "))
        for row in picture[:, 12:-12]
        if (row[12:-12] < 200).mean() > 0.5
    )
    shown = np.count_nonzero((picture < 200).any(axis=0))
    assert longest / shown == pytest.approx(20 / 100, abs=0.01)


@pytest.mark.parametrize("width", [0.07, 1.0, 3.4, 66.6, 999.0, 1e6])
def test_bar_is_of_round_length_and_fits(width: float) -> None:
    length = round_length(width)
    assert 0.1 * width < length <= 0.3 * width * (1 + 1e-9)
    assert f"{length:.3e}"[0] in "125"
    assert f"{length:.3e}"[1:5] == ".000"


def test_units_change_where_a_microscopist_changes_them() -> None:
    assert [real_label(x) for x in (5, 10, 5000, 2e4, 1e7)] == ["5 Å", "1 nm", "500 nm", "2 µm", "1 mm"]
    assert [reciprocal_label(x) for x in (0.05, 0.1, 2.0)] == ["0.5 1/nm", "0.1 1/Å", "2 1/Å"]


def test_the_first_phase_is_orange_and_the_second_blue() -> None:
    assert phase_colours(("O3", "O1")) == {"O3": "#e69f00", "O1": "#0072b2"}


@pytest.mark.parametrize(("n", "least"), [(7, 17.0), (12, 17.0), (32, 10.0)])
def test_phases_none_and_mixed_differ_to_every_reader(n: int, least: float) -> None:
    seen = appearance(np.array([to_rgb(c) for c in (*palette(n), NONE, MIXED)]))
    distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    distance[np.arange(n + 2), np.arange(n + 2)] = np.inf
    assert distance.min() >= least


def test_adding_phases_does_not_recolour_those_before() -> None:
    assert palette(20)[:12] == palette(12)


def test_sure_phase_has_its_own_colour_and_a_doubtful_one_is_darker() -> None:
    rgb = phase_rgb(two_phases(), 0.5)
    np.testing.assert_allclose(rgb[0, 3], to_rgb("#e69f00"))
    assert (np.diff(rgb[0].sum(axis=-1)) > 0).all()
    np.testing.assert_allclose(rgb[1, 2], to_rgb("#0072b2"))
    np.testing.assert_allclose(rgb[2], np.broadcast_to(to_rgb(NONE), (4, 3)))
    assert np.ptp(rgb[1, 0]) < 0.02  # both phases: grey


def test_legend_of_the_map_accounts_for_every_position() -> None:
    found = texts(plot_phase_map(two_phases()))
    shares = [float(t.split()[-2]) for t in found if t.endswith("%")]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert "O3 + O1  16.7 %" in found
    assert "O3 only  33.3 %" in found
    assert "2 nm" in found


def test_positions_without_data_are_hatched_and_named() -> None:
    valid = np.ones((3, 4), bool)
    valid[2, 1] = False
    ax = plot_phase_map(two_phases(valid))
    assert "no data" in texts(ax)
    stripes = np.asarray(ax.images[1].get_array())
    fine = stripes.shape[0] // 3
    covered = stripes[..., 3].reshape(3, fine, 4, fine).mean(axis=(1, 3))
    np.testing.assert_array_equal(covered, ~valid)


def test_map_without_a_step_has_its_bar_in_pixels() -> None:
    phase_map = two_phases()
    ax = plot_phase_map(PhaseMap(phase_map.phases, phase_map.presence, phase_map.valid, None))
    assert bar_of(ax) == (1.0, "1 px")


def test_presence_runs_from_zero_to_one_and_is_hidden_where_unknown() -> None:
    valid = np.ones((3, 4), bool)
    valid[0, 0] = False
    ax = plot_presence(two_phases(valid), "O3")
    image = ax.images[0]
    assert image.get_clim() == (0, 1)
    assert np.isnan(np.ma.filled(image.get_array(), np.nan)[0, 0])
    with pytest.raises(DataError, match="'LiF'"):
        plot_presence(two_phases(), "LiF")


def test_coarse_map_lies_on_the_micrograph_in_the_same_length() -> None:
    micrograph = Micrograph(np.random.default_rng(0).random((60, 90)), RealGrid((1.0, 1.0)))
    ax = plot_phase_overlay(micrograph, two_phases(), offset_px=(0.0, 5.0))
    left, right, bottom, top = ax.images[1].get_extent()
    assert (left, right, bottom, top) == (4.5, 84.5, 59.5, -0.5)
    assert ax.get_xlim() == (-0.5, 89.5)


def test_mixed_positions_of_an_overlay_show_both_colours_and_none_shows_the_image() -> None:
    micrograph = Micrograph(np.zeros((60, 80)), RealGrid((1.0, 1.0)))
    rgba = np.asarray(plot_phase_overlay(micrograph, two_phases()).images[1].get_array())
    fine = rgba.shape[0] // 3
    mixed = rgba[fine : 2 * fine, :fine].reshape(-1, 4)
    colours = {tuple(np.round(row, 6)) for row in mixed[:, :3]}
    assert colours == {tuple(np.round(to_rgb(c), 6)) for c in ("#e69f00", "#0072b2")}
    assert rgba[2 * fine :, :, 3].max() == 0


def test_outline_of_a_region_follows_pixel_edges() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    segments = outline_segments(mask)
    assert len(segments) == 2 * (2 + 3)
    assert segments[..., 0].min() == 1.5
    assert segments[..., 0].max() == 4.5
    assert (segments[..., 1].min(), segments[..., 1].max()) == (0.5, 2.5)
    ax = plot_virtual_image(np.random.default_rng(0).random((4, 6)), None, mask)
    assert any(isinstance(c, LineCollection) for c in ax.collections)
    with pytest.raises(DataError, match=r"\(4, 6\)"):
        plot_virtual_image(np.zeros((4, 6)), None, mask[:3])


def test_spots_are_crosses_inside_the_annulus_and_triangles_outside() -> None:
    pattern = Pattern(np.ones((64, 80)), GRID)
    ax = plot_pattern(
        pattern, spots=spots_at([(0.0, 0.4), (-0.2, 0.0), (0.6, 0.1), (0.0, 0.1)]), annulus_inv_a=(0.15, 0.5)
    )
    drawn = {line.get_marker(): line.get_xydata() for line in ax.lines if line.get_marker() in ("x", "^")}
    np.testing.assert_allclose(drawn["x"], [(60, 32), (40, 22)])
    np.testing.assert_allclose(drawn["^"], [(45, 62), (45, 32)])


def test_hexagon_and_annulus_are_drawn_through_the_calibration() -> None:
    grid = ReciprocalGrid((0.02, 0.02), (32.0, 40.0), ellipse=np.array([[1.1, 0.0], [0.0, 1.0]]))
    ax = plot_pattern(
        Pattern(np.ones((64, 80)), grid), outlines=[hexagon("O3", "#e69f00", 0.4, 0.0)], annulus_inv_a=(0.1, 0.3)
    )
    lines = {len(line.get_xydata()): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(lines[7][0], (40 + 0.4 / 0.02, 32))
    radius = np.hypot(*(grid.k_of(lines[181][:, ::-1])).T)
    np.testing.assert_allclose(radius, 0.3)


def test_hexagon_has_six_corners_at_its_radius_turned_by_its_azimuth() -> None:
    vertices = hexagon("O1", "#0072b2", 0.41, 0.3).vertices_inv_a
    np.testing.assert_allclose(np.hypot(*vertices.T), 0.41)
    assert np.arctan2(vertices[0, 0], vertices[0, 1]) == pytest.approx(0.3)
    np.testing.assert_allclose(np.linalg.norm(np.roll(vertices, 1, axis=0) - vertices, axis=1), 0.41)


def test_diffractogram_is_zoomed_to_its_spots_and_rings_them() -> None:
    grid = ReciprocalGrid((0.004, 0.004), (128.0, 128.0))
    data = np.random.default_rng(0).exponential(size=(256, 256))
    ax = plot_diffractogram(
        Pattern(data, grid, origin="fft"), spots_at([(0.2, 0.0), (-0.2, 0.0)]), ["Li 011", ""], ["#e69f00", "#e69f00"]
    )
    assert ax.get_xlim() == (pytest.approx(128 - 65), pytest.approx(128 + 65))
    centres = sorted(p.get_center() for p in ax.patches if isinstance(p, Circle))
    np.testing.assert_allclose(centres, [(128, 78), (128, 178)])
    assert "Li 011" in texts(ax)
    with pytest.raises(DataError, match="labels"):
        plot_diffractogram(Pattern(data, grid), spots_at([(0.2, 0.0)]), ["a", "b"])


def test_names_of_close_spots_do_not_overlap() -> None:
    grid = ReciprocalGrid((0.004, 0.004), (128.0, 128.0))
    near = spots_at([(0.0, 0.3), (0.012, 0.3), (-0.3, 0.0)])
    names = ["Li2O 111", "LiF 111", "Li 011"]
    ax = plot_diffractogram(Pattern(np.random.default_rng(0).random((256, 256)), grid), near, names)
    png_of(ax)
    boxes = [t.get_window_extent() for t in ax.texts if t.get_text() in names]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_ring_contrast_takes_away_the_fall_off_but_not_the_spot() -> None:
    grid = ReciprocalGrid((0.01, 0.01), (64.0, 64.0))
    radius = grid.radius_inv_a((128, 128))
    data = np.exp(-radius / 0.1)
    data[64, 94] *= 100
    contrast = ring_contrast(Pattern(data, grid))
    assert np.abs(np.delete(contrast.ravel(), 64 * 128 + 94)).max() < 0.1
    assert contrast[64, 94] == pytest.approx(2, abs=0.05)


def test_histogram_marks_computed_and_learned_rings_and_counts_every_spot() -> None:
    radius = np.array([0.41, 0.41, 0.7, 1.2])
    rings = [Ring("O1 100", "#0072b2", 0.4095), Ring("O1 100", "#0072b2", 0.411, is_learned=True)]
    ax = plot_radius_histogram(radius, rings=rings)
    assert ax.get_xlabel().endswith("(1/Å)")
    heights = ax.patches[0].get_xy()[:, 1]
    assert heights.max() == 2
    assert [line.get_xdata()[0] for line in ax.lines] == [0.4095, 0.411]
    assert {"O1 100 computed", "O1 100 learned"} <= set(texts(ax))


def test_profile_is_drawn_for_positive_and_for_empty_data() -> None:
    k = np.linspace(0, 1, 50)
    assert plot_radial_profile(k, np.exp(-k)).get_yscale() == "log"
    png_of(plot_radial_profile(k, np.zeros(50)))


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(mpl.rcParams)
    png_of(plot_phase_map(two_phases()))
    assert dict(mpl.rcParams) == before


def test_equal_drawings_give_equal_bytes() -> None:
    assert png_of(plot_phase_map(two_phases())) == png_of(plot_phase_map(two_phases()))


@pytest.mark.parametrize("name", [r"$\frac$", "<script>alert(1)</script>", "x" * 300, "two\nlines"])
def test_odd_names_of_phases_can_be_drawn(name: str) -> None:
    phase_map = two_phases()
    ax = plot_phase_map(PhaseMap((name, "O1"), phase_map.presence, phase_map.valid, None))
    assert len(png_of(ax)) > 1000


def test_figures_can_be_drawn_into_given_axes() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_phase_map(two_phases(), ax=left) is left
    assert plot_pattern(Pattern(np.zeros((64, 80)), GRID), ax=right) is right
    assert len(png_of(figure)) > 1000


def test_film_marks_what_appears_and_has_no_name() -> None:
    presence = np.zeros((20, 30, 1), dtype=np.float32)
    presence[5:10, 5:10] = 1.0
    maps = [PhaseMap(("lif",), presence, np.ones((20, 30), dtype=bool)) for _ in range(3)]
    captions = ["frame 0", "frame 1", "frame 2"]
    films = [film_of(maps, captions, onsets, 0.5) for onsets in ({"lif": 1}, {"lif": 1, "unknown": 2})]
    assert all(film.startswith(b"GIF8") for film in films)
    assert films[0] != films[1]
