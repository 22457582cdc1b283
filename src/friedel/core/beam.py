"""The electron beam."""

from __future__ import annotations

import math
from dataclasses import dataclass

from friedel.core.errors import CalibrationError

PLANCK_J_S = 6.62607015e-34
ELECTRON_MASS_KG = 9.1093837015e-31
ELEMENTARY_CHARGE_C = 1.602176634e-19
LIGHT_SPEED_M_S = 299792458.0
#: Rest energy of the electron (CODATA 2018).
ELECTRON_REST_KEV = 510.99895


@dataclass(frozen=True, slots=True)
class Beam:
    """Energy and convergence of the electron beam.

    Parameters
    ----------
    energy_kev
        Kinetic energy; 1 to 5000 keV are accepted, which catches eV and MeV given by mistake.
    semi_convergence_mrad
        Half angle of the illumination cone; 0 for a parallel beam or where it is not known.
    """

    energy_kev: float
    semi_convergence_mrad: float = 0.0

    def __post_init__(self) -> None:
        if not 1.0 <= self.energy_kev <= 5000.0:
            raise CalibrationError(
                f"energy_kev must lie between 1 and 5000 keV, got {self.energy_kev:g}. Pass --energy-kev, e.g. 200."
            )
        if not 0.0 <= self.semi_convergence_mrad <= 200.0:
            raise CalibrationError(
                f"semi_convergence_mrad must lie between 0 and 200 mrad, got {self.semi_convergence_mrad:g}."
            )

    @property
    def wavelength_a(self) -> float:
        """Relativistic wavelength in Å.

        lambda = h / sqrt(2 m e V (1 + e V / (2 m c^2))): Kirkland, Advanced Computing in Electron Microscopy,
        2nd ed., eq. 2.5; constants CODATA 2018.
        """
        energy_j = self.energy_kev * 1e3 * ELEMENTARY_CHARGE_C
        rest_j = ELECTRON_MASS_KG * LIGHT_SPEED_M_S**2
        momentum = math.sqrt(2.0 * ELECTRON_MASS_KG * energy_j * (1.0 + energy_j / (2.0 * rest_j)))
        return 1e10 * PLANCK_J_S / momentum

    @property
    def gamma(self) -> float:
        """Relativistic mass over rest mass, 1 + E / (m c^2)."""
        return 1.0 + self.energy_kev / ELECTRON_REST_KEV
