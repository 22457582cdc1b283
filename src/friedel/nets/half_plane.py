"""Half of a power spectrum holds all of it: which half a network sees, and the whole plane that follows."""

from __future__ import annotations

import numpy as np

from friedel.core.arrays import AnyArray, Float32Array

#: Columns beyond kx = 0, of the other half, that a network sees beside the seam.
SEAM_PX = 16
#: The linear channel ends where a spot is certain, the logarithmic one where spectra for training become few.
_BRIGHTEST, _DAZZLING = 16.0, 100.0
#: Distance from the centre, in px, over which the third channel falls.
_CENTRE_PX = 32.0


def half_of(whole: AnyArray) -> AnyArray:
    """Return kx >= 0, the Nyquist frequency included, of a plane (ky, kx) with its centre at (ky // 2, kx // 2)."""
    middle = whole.shape[1] // 2
    columns = np.arange(middle, middle + middle + 1) % whole.shape[1]
    return np.asarray(whole[:, columns])


def whole_of(half: AnyArray, width: int) -> AnyArray:
    """Complete a half plane (ky, width // 2 + 1) by Friedel's law, P(-k) = P(k)."""
    height, middle = half.shape[0], width // 2
    rows = (2 * (height // 2) - np.arange(height)) % height
    return np.concatenate([half[rows][:, middle:0:-1], half[:, : width - middle]], axis=1)


def network_input(half: AnyArray, width: int, stride: int) -> Float32Array:
    """Stack what a segmenter sees of the power over its noise floor (ky, width // 2 + 1).

    Returns
    -------
    Float32Array
        (1, 3, rows, columns), multiples of the stride. Rows run on periodically below, as the spectrum does; the first
        ``SEAM_PX`` columns are those of the other half beside the seam, so that a spot on it is seen whole. Channels:
        the power, linear up to 16 times the noise, where sums of faint pixels count most (the likelihood ratio of
        two exponentials is linear in the power); its logarithm up to 100 times the noise, where bright ones differ and
        beyond which networks have seen too few to judge them; nearness to the centre.
    """
    whole = whole_of(half, width)
    height, middle = whole.shape[0], width // 2
    n_columns = SEAM_PX + half.shape[1]
    rows = np.arange(height + -height % stride) % height
    columns = (middle - SEAM_PX + np.arange(n_columns + -n_columns % stride)) % width
    ratio = whole[np.ix_(rows, columns)].astype(np.float32)
    ky = (rows - height // 2)[:, None].astype(np.float32)
    kx = (columns - middle).astype(np.float32)
    nearness = np.exp(-np.hypot(ky, kx) / np.float32(_CENTRE_PX))
    linear = np.minimum(ratio, np.float32(_BRIGHTEST)) - np.float32(1.0)
    logarithm = np.log1p(np.minimum(ratio, np.float32(_DAZZLING)))
    return np.stack([0.5 * linear, logarithm, nearness])[None].astype(np.float32, copy=False)


def of_network(seen: AnyArray, height: int, width: int) -> AnyArray:
    """Cut what a network says (rows, columns) to the half plane (height, width // 2 + 1) that it was asked about."""
    return seen[:height, SEAM_PX : SEAM_PX + width // 2 + 1]
