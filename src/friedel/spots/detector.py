"""What every spot detector does."""

from __future__ import annotations

from typing import Protocol

from friedel.core.images import Pattern
from friedel.core.spots import Spots


class SpotDetector(Protocol):
    """Finds spots in one pattern."""

    def find(self, pattern: Pattern, annulus_inv_a: tuple[float, float]) -> Spots:
        """Find the spots whose distance from the centre lies in an annulus.

        Parameters
        ----------
        pattern
            Intensity of shape (ky, kx), calibrated.
        annulus_inv_a
            Inner and outer radius in 1/Å, inner < outer.

        Returns
        -------
        Spots
            Of one pattern (``scan_shape`` (1, 1)), brightest first; there may be none.

        Raises
        ------
        CalibrationError
            If the annulus is empty or lies wholly outside the pattern.
        """
        ...
