"""The shape of a network, as recipes and cards state it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from friedel.core.errors import RecipeError

Family = Literal["rdunet", "unet", "nafnet"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """Shape of a network.

    Parameters
    ----------
    family
        "rdunet": residual dense U-Net (Gurrola-Ramos, Dalmau and Alarcon, IEEE Access 9, 31742, 2021); "unet": U-Net
        with residual blocks (Ronneberger et al. 2015; He et al. 2016); "nafnet": gated blocks without activations (Chen
        et al., ECCV 2022).
    width
        Channels at the finest level, even; they double at each coarser one.
    stem
        Pixels are packed stem x stem into channels before the first convolution (Shi et al., CVPR 2016).
    levels
        Resolutions, the finest included.
    """

    family: Family = "unet"
    width: int = 16
    stem: int = 2
    levels: int = 4

    def __post_init__(self) -> None:
        if not (2 <= self.width <= 512 and self.width % 2 == 0 and 1 <= self.stem <= 8 and 1 <= self.levels <= 8):
            raise RecipeError(
                "An architecture needs an even width of 2 to 512, a stem of 1 to 8 and 1 to 8 levels, got "
                f"{self.width}, {self.stem} and {self.levels}."
            )

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return int(self.stem * 2 ** (self.levels - 1))
