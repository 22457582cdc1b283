"""Files of real instruments: read as what they are, or refused with a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from friedel.core import errors
from friedel.core.images import Micrograph, MicrographSeries, PatternScan
from friedel.io import ReadOptions, inspect, read
from friedel.io.guard import GuardedArray, GuardedFile
from friedel.io.reading import FileInfo

#: Path, options, type, shape, step along both axes (Å or 1/Å per px), beam energy in keV.
KNOWN: list[tuple[str, ReadOptions, type, tuple[int, ...], tuple[float, float], float | None]] = [
    ("real/sped_fe_gphase/subset_data.hspy", ReadOptions(), PatternScan, (2, 2, 256, 256), (0.01261, 0.01261), None),
    ("real/stem_lattice/Acquisition_18.emd", ReadOptions(), Micrograph, (1024, 1024), (0.12247, 0.12247), None),
    ("real/stem_lattice/hrstem_example.ser", ReadOptions(), Micrograph, (1024, 1024), (0.52407, 0.52407), None),
    ("multislice/hrtem/hr01.mrc", ReadOptions(), Micrograph, (1024, 1024), (0.37, 0.37), None),
    ("formats/blo/test1.blo", ReadOptions(), PatternScan, (3, 2, 144, 144), (0.032022, 0.032022), 200.0),
    ("formats/mib/test_CL30cm.hspy", ReadOptions(), PatternScan, (1, 1, 256, 256), (0.0041035, 0.0041035), None),
    (
        "formats/dm/test_diffraction_pattern.dm3",
        ReadOptions(),
        PatternScan,
        (1, 1, 87, 87),
        (0.017443, 0.017443),
        200.0,
    ),
    ("formats/dm/multi_signal.dm3", ReadOptions(), Micrograph, (512, 512), (0.17752, 0.17752), 300.0),
    (
        "formats/dm/dmTest_float32_nonSquare_diffPixelSize.dm3",
        ReadOptions(),
        Micrograph,
        (64, 128),
        (2.0, 10.0),
        None,
    ),
    (
        "formats/emd_velox/Camera Ceta Diffraction Micro.emd",
        ReadOptions(),
        PatternScan,
        (1, 1, 512, 512),
        (0.011443, 0.011443),
        300.0,
    ),
    ("formats/emd_velox/fei_example_tem_stack.emd", ReadOptions(), MicrographSeries, (2, 3, 3), (0.081729,) * 2, 300.0),
    (
        "formats/ser_emi/64x64_diffraction_acquire_1.ser",
        ReadOptions(),
        PatternScan,
        (1, 1, 64, 64),
        (0.010157,) * 2,
        None,
    ),
    ("formats/ser_emi/64x64x5_TEM_preview_1.ser", ReadOptions(), MicrographSeries, (5, 64, 64), (62.818, 62.818), None),
    ("formats/emd_ncem/Si100_4D.emd", ReadOptions(), PatternScan, (11, 11, 8, 8), (0.018416, 0.018416), None),
    ("formats/py4dstem_h5/py4DSTEM_size2x3x4x5.h5", ReadOptions(), PatternScan, (2, 3, 4, 5), (0.044252,) * 2, None),
    (
        "formats/fpd_hdf5/fpd_file_test.hdf5",
        ReadOptions(step_inv_a=0.1),
        PatternScan,
        (2, 2, 256, 256),
        (0.1, 0.1),
        None,
    ),
    ("formats/de_mrc/20241021_00405_movie.mrc", ReadOptions(), PatternScan, (4, 8, 4, 8), (0.01, 0.01), 300.0),
    (
        "formats/dectris_arina/test_00_master.h5",
        ReadOptions(step_inv_a=0.1),
        PatternScan,
        (4, 4, 192, 192),
        (0.1,) * 2,
        300.0,
    ),
    ("formats/empad/map4x4.xml", ReadOptions(step_inv_a=0.1), PatternScan, (4, 4, 128, 128), (0.1, 0.1), 300.0),
    (
        "formats/tiff/test_loading_image_saved_with_DM.tif",
        ReadOptions(),
        Micrograph,
        (68, 68),
        (1686.75, 1686.75),
        None,
    ),
    (
        "formats/tiff/test_loading_image_saved_with_imageJ.tif",
        ReadOptions(),
        Micrograph,
        (68, 68),
        (1686.75, 1686.75),
        None,
    ),
    ("formats/prz/panta_rhei_sample.prz", ReadOptions(), Micrograph, (16, 16), (77.958, 77.958), 200.0),
    ("formats/nxs/simple_signal.nxs", ReadOptions(step_inv_a=0.1), PatternScan, (15, 1, 40, 40), (0.1, 0.1), None),
    ("real/saed_bmp/Au_Nano_1.bmp", ReadOptions(step_inv_a=0.1), PatternScan, (1, 1, 1023, 1023), (0.1, 0.1), None),
]


@pytest.mark.parametrize(
    ("name", "options", "kind", "shape", "step", "energy_kev"), KNOWN, ids=[Path(known[0]).name for known in KNOWN]
)
def test_real_file_is_read_as_what_it_is(
    shared_data: Path, name: str, options: ReadOptions, kind: type, shape: Any, step: Any, energy_kev: float | None
) -> None:
    result = read(shared_data / name, options)
    assert type(result) is kind
    assert result.data.shape == shape
    got = result.grid.step_inv_a if isinstance(result, PatternScan) else result.grid.step_a
    assert got == pytest.approx(step, rel=1e-4)
    assert (result.beam.energy_kev if result.beam else None) == energy_kev
    assert np.isfinite(np.asarray(result.data, dtype=float)).all()


def test_precession_patterns_have_their_beam_near_the_stated_centre(shared_data: Path) -> None:
    scan = read(shared_data / "real/sped_fe_gphase/subset_data.hspy")
    assert isinstance(scan, PatternScan)
    brightest = np.unravel_index(np.argmax(scan.pattern(0, 0).data), scan.pattern_shape)
    assert np.hypot(*(np.array(brightest) - scan.grid.centre_px)) < 6
    assert scan.scan_grid is not None
    assert scan.scan_grid.step_a == (20.0, 20.0)


@pytest.mark.parametrize("name", ["64x64_TEM_images_acquire", "hrstem_example"])
def test_tia_image_is_the_one_that_other_readers_show(shared_data: Path, name: str) -> None:
    reader = pytest.importorskip("rsciio.tia").file_reader
    path = next(shared_data.rglob(f"{name}*.ser"))
    ours = read(path)
    np.testing.assert_array_equal(np.asarray(ours.data), reader(str(path))[0]["data"])


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("blo/test1.blo", "blockfile"),
        ("mib/test_multi.mib", "quantumdetector"),
        ("tvips/test_tvips_2345_000.tvips", "tvips"),
    ],
)
def test_own_readers_agree_with_rosettasciio(shared_data: Path, name: str, module: str) -> None:
    reader = pytest.importorskip(f"rsciio.{module}").file_reader
    path = shared_data / "formats" / name
    np.testing.assert_array_equal(
        np.asarray(GuardedArray(GuardedFile(path))), np.asarray(reader(str(path), lazy=True)[0]["data"])
    )


def outcome_of(path: Path) -> FileInfo | errors.FileError:
    try:
        return inspect(path)
    except errors.FileError as error:
        return error


def test_samples_of_every_suffix_open_or_are_refused_with_a_reason(shared_data: Path) -> None:
    """One sample per suffix; the full list is docs/reference/formats.md."""
    paths = sorted(path for path in (shared_data / "formats").rglob("*.*") if path.is_file())
    outcomes = [outcome_of(path) for path in {path.suffix: path for path in paths}.values()]
    refused = [outcome for outcome in outcomes if isinstance(outcome, errors.FileError)]
    opened = [outcome for outcome in outcomes if not isinstance(outcome, errors.FileError)]
    assert all(error.remedy and type(error) is not errors.FileError for error in refused)
    assert all(2 <= len(info.shape) <= 4 for info in opened)
    assert len(opened) >= 10
