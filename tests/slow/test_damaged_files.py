"""Every reader under 20 cuts and 500 changed bytes: a typed error, or data of the right form."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

pytestmark = pytest.mark.slow

CUTS, FLIPS = 20, 500
#: A changed byte changes few values where data lie plain; a damaged block of compressed data must not pass.
MAX_CHANGED = 64
#: What the system does to a reader that uses up its time or crashes; its parent makes a typed error of it.
ENDED_BY_THE_SYSTEM = {"killed by 24", "killed by 11", "killed by 6"}
REAL = [
    "mrc/ROI_Random_Scan_movie.mrc",
    "blo/test2.blo",
    "dm/test-1.dm3",
    "dm/dmTest_float32_nonSquare_diffPixelSize.dm4",
    "mib/test.mib",
    "ser_emi/128x128-TEM_search_1.ser",
    "tiff/test_loading_image_saved_with_DM_stack.tif",
    "tiff/test_loading_image_saved_with_imageJ_stack.tif",
    "emd_ncem/example_image.emd",
    "emd_velox/fei_example_tem_stack.emd",
    "py4dstem_h5/real_py4dstem.h5",
    "hspy/example2_v3.1.hspy",
    "prz/panta_rhei_sample.prz",
    "nxs/simple_signal.nxs",
    "fpd_hdf5/fpd_file_test.hdf5",
    "dectris_arina/test_00_master.h5",
]


def check(file: Path, folder: Path) -> None:
    script = Path(__file__).with_name("damaged_reads.py")
    command = [sys.executable, script, file, folder, "0", str(FLIPS), str(CUTS)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    copies = [json.loads(line) for line in said.splitlines()]
    assert len(copies) == CUTS + FLIPS
    wrong = [copy for copy in copies if not is_right(copy)]
    assert not wrong, wrong
    assert {copy["ended"] for copy in copies} > {"read", "TruncatedFileError"}


def is_right(copy: dict[str, Any]) -> bool:
    """Whether nothing was lost, and nothing made up, without a word; in bounded time and memory."""
    if copy["seconds"] > 20 or copy["peak_mib"] > 1024:
        return False
    if copy["ended"] != "read":
        return copy["ended"] in ENDED_BY_THE_SYSTEM or (copy["ended"].endswith("Error") and bool(copy["remedy"]))
    if not copy["same_form"]:
        return bool(copy["notes"])
    return copy["changed"] <= (0 if copy["what"].startswith("cut") else MAX_CHANGED)


@pytest.mark.parametrize("name", REAL)
def test_damaged_file_of_a_vendor_is_never_read_wrongly(shared_data: Path, tmp_path: Path, name: str) -> None:
    check(shared_data / "formats" / name, tmp_path)


@pytest.mark.parametrize("suffix", [".npy", ".tif"])
def test_damaged_plain_file_is_never_read_wrongly(tmp_path: Path, suffix: str) -> None:
    images = np.arange(1, 3 * 35 + 1, dtype=np.uint16).reshape(3, 5, 7)
    (tmp_path / "sound").mkdir()
    (tmp_path / "damaged").mkdir()
    file = tmp_path / "sound" / f"images{suffix}"
    if suffix == ".npy":
        np.save(file, images)
    else:
        tifffile.imwrite(file, images, compression="zlib", photometric="minisblack")
    check(file, tmp_path / "damaged")
