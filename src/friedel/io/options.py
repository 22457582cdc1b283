"""What the user knows better than the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from friedel.core.errors import CalibrationError
from friedel.core.grids import Source

Kind = Literal["scan", "micrograph", "series"]

#: Relative one-sigma error of a scale that the user states.
USER_RELATIVE_SIGMA = 0.005


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Facts about a file that override what it says; each has the command line option of the same name.

    Parameters
    ----------
    kind
        What the file is: "scan", "micrograph" or "series".
    energy_kev
        Beam energy.
    step_inv_a, centre_px
        1/Å per detector pixel; the transmitted beam (ky, kx) in px.
    step_source, step_relative_sigma
        Where ``step_inv_a`` comes from, and its relative one-sigma error.
    ellipse
        What undoes the elliptic distortion of the patterns, as ``ReciprocalGrid`` has it.
    calibrated_shape
        Pixels (ky, kx) of the patterns on which step and ellipse were found; others are refused.
    scan_shape, scan_step_nm
        Positions (ry, rx), and their distance.
    pixel_size_a
        Å per pixel of a micrograph or series.
    frame_time_s, dose_rate_e_per_a2_s
        Seconds per frame of a series, and its dose rate.
    frames
        Frames (start, stop) of a series to keep.
    """

    kind: Kind | None = None
    energy_kev: float | None = None
    step_inv_a: float | None = None
    centre_px: tuple[float, float] | None = None
    step_source: Source = "user"
    step_relative_sigma: float = USER_RELATIVE_SIGMA
    ellipse: tuple[tuple[float, float], tuple[float, float]] | None = None
    calibrated_shape: tuple[int, int] | None = None
    scan_shape: tuple[int, int] | None = None
    scan_step_nm: float | None = None
    pixel_size_a: float | None = None
    frame_time_s: float | None = None
    dose_rate_e_per_a2_s: float | None = None
    frames: tuple[int, int] | None = None

    def check_shape(self, pattern_shape: tuple[int, int]) -> None:
        """Raise CalibrationError if step and ellipse belong to patterns of another size."""
        if self.calibrated_shape not in (None, pattern_shape):
            raise CalibrationError(
                f"The calibration was made on patterns of {self.calibrated_shape} px, these have {pattern_shape}. "
                "Calibrate with the same camera length, binning and crop."
            )
