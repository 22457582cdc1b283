"""Settings of a series."""

from __future__ import annotations

from dataclasses import dataclass

from friedel.core.errors import DataError


@dataclass(frozen=True, slots=True)
class SeriesOptions:
    """Settings of ``analyse_series`` beyond those of a micrograph.

    Parameters
    ----------
    window_frames
        Frames that are averaged in register to find spots; 0 takes a twelfth of the series, but no more than 10.
    false_onsets
        Expected number of grains and families said to appear or to vanish in a series in which nothing does.
    controls
        Positions of the FFT without a spot that each spot is compared with.
    """

    window_frames: int = 0
    false_onsets: float = 0.1
    controls: int = 16

    def __post_init__(self) -> None:
        if self.window_frames < 0:
            raise DataError(f"window_frames must be positive, or 0 for the default, got {self.window_frames}.")
        if not 0 < self.false_onsets <= 10:
            raise DataError(f"false_onsets must lie in (0, 10], got {self.false_onsets}.")
        if not 4 <= self.controls <= 100:
            raise DataError(f"controls must lie in 4 to 100, got {self.controls}.")
