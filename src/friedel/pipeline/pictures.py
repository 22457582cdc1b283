"""Single pictures in files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from friedel.core.errors import CalibrationError, UnsupportedFileError
from friedel.core.images import Micrograph
from friedel.io import write_micrograph
from friedel.patterns.survey import Survey
from friedel.report.files import write_atomic
from friedel.report.maps import plot_virtual_image
from friedel.report.style import png_of


def write_virtual_image(path: Path, survey: Survey) -> None:
    """Write the annular image of a survey as calibrated TIFF or MRC, as PNG with a scale bar, or as plain numbers.

    Raises
    ------
    CalibrationError
        If a calibrated picture is wanted of a scan without a step.
    UnsupportedFileError
        For another suffix.
    """
    image = np.where(survey.valid, survey.annular, 0.0).astype(np.float32)
    suffix, grid = path.suffix.lower(), survey.scan.scan_grid
    if suffix in (".tif", ".tiff", ".mrc"):
        if grid is None:
            raise CalibrationError(f"{path} needs the scan's step, which the file lacks. Pass --scan-step-nm.")
        write_micrograph(path, Micrograph(image, grid))
    elif suffix == ".png":
        write_atomic(path, png_of(plot_virtual_image(np.where(survey.valid, survey.annular, np.nan), grid)))
    elif suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, image, allow_pickle=False)
        write_atomic(path, buffer.getvalue())
    else:
        raise UnsupportedFileError(path, f"{suffix or 'no suffix'} is no picture format", "Use .tif, .png or .npy.")
