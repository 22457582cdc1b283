"""Running a network on patterns, without torch: the same answer for a pattern whatever stands beside it."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.arrays import AnyArray, BoolArray, Float32Array, FloatArray
from friedel.core.errors import CorruptFileError, DataError, FriedelError
from friedel.nets.cards import OperatingPoint, WeightCard, WeightsError, find_card, load_card, verify_weights
from friedel.nets.device import Device, device_of_session, start_session
from friedel.nets.onnx_file import require_plain_onnx
from friedel.nets.spot_map import Trust

#: Anscombe's transform, 0 at 0 counts.
_THREE_EIGHTHS, _AT_ZERO = np.float32(0.375), np.float32(1.224744871391589)


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A network ready for use; small when pickled, since the weights are read by each process for itself.

    Parameters
    ----------
    card
        What it is.
    path
        The file of weights.
    """

    card: WeightCard
    path: Path

    def trust(self, electrons: AnyArray) -> Trust:
        """When maxima of the spot maps of these patterns (n, ky, kx) count as spots."""
        return trust_at(self.card.points, electrons.sum(axis=(1, 2), dtype=np.float64))

    def run(self, electrons: AnyArray, centre_px: FloatArray) -> tuple[Float32Array, Float32Array]:
        """Denoise patterns and find where spots are.

        Parameters
        ----------
        electrons
            Counts (n, ky, kx) in electrons, finite; see ``prepare``.
        centre_px
            Transmitted beam of each pattern (n, 2).

        Returns
        -------
        denoised (n, ky, kx), expected electrons per pixel, and probability (n, ky, kx) of a spot at each pixel.

        Notes
        -----
        Patterns go through one by one on one thread: the answer for a pattern does not depend on its neighbours in the
        batch, and one pattern fits the caches of a core. A pattern with more electrons than the network knows is seen
        as one of that many, with less noise.
        """
        if electrons.ndim != 3 or centre_px.shape != (len(electrons), 2):
            raise DataError(
                f"A network needs patterns (n, ky, kx) and centres (n, 2), got {electrons.shape} and {centre_px.shape}."
            )
        denoised = np.empty(electrons.shape, dtype=np.float32)
        probability = np.empty(electrons.shape, dtype=np.float32)
        ky, kx = electrons.shape[1:]
        for i, centre in enumerate(centre_px):
            scale = np.float32(
                max(float(electrons[i].sum(dtype=np.float64)) / self.card.preprocessing.max_electrons, 1.0)
            )
            z = network_input(electrons[i] / scale, centre, self.card.preprocessing.stride)
            found_z, found_p = run_weights(self.path, self.card.sha256, {"z": z})
            denoised[i] = scale * unstabilise(found_z[0, :ky, :kx])
            probability[i] = found_p[0, :ky, :kx]
        return denoised, probability


def load_network(name_or_path: str) -> Network:
    """Load a shipped network by its name, or one from a file of weights with its card beside it.

    Raises
    ------
    WeightsError, CorruptFileError
        If there is none, it is not the one that its card describes, or it is no denoiser.
    """
    card_path = find_card(name_or_path)
    card = verify_weights(card_path)
    if not isinstance(card, WeightCard):
        raise WeightsError(card_path, "it is a segmenter of spectra, and a denoiser is wanted", "Name a denoiser.")
    weights = card_path.parent / card.file
    read_weights(weights, card.sha256)
    return Network(card, weights)


def trust_at(points: Sequence[OperatingPoint], electrons: FloatArray) -> Trust:
    """Interpolate operating points for patterns that show so many electrons (n,)."""
    at = np.log(np.maximum(electrons, 1.0))
    known = np.log([point.electrons for point in points])
    return Trust(
        np.interp(at, known, [point.threshold for point in points]),
        np.interp(at, known, [point.sure for point in points]),
    )


def stabilise(electrons: AnyArray) -> Float32Array:
    """Transform Poisson counts to unit variance, 0 at 0: 2 sqrt(n + 3/8) - 2 sqrt(3/8) (Anscombe 1948, eq. 2.1)."""
    return np.asarray(2.0 * np.sqrt(np.maximum(electrons, 0.0) + _THREE_EIGHTHS) - _AT_ZERO, dtype=np.float32)


def unstabilise(z: AnyArray) -> Float32Array:
    """Electrons of a transformed expectation: the inverse of ``stabilise``, never negative."""
    return np.asarray(np.maximum((0.5 * (z + _AT_ZERO)) ** 2 - _THREE_EIGHTHS, 0.0), dtype=np.float32)


def invert_about(image: AnyArray, centre_px: AnyArray) -> AnyArray:
    """Invert a picture (ky, kx) about a centre, rounded to half pixels; 0 where the partner is outside."""
    partner = [int(np.rint(2.0 * c)) - np.arange(n) for c, n in zip(centre_px, image.shape, strict=True)]
    inside = [(p >= 0) & (p < n) for p, n in zip(partner, image.shape, strict=True)]
    turned = image[np.ix_(*(np.clip(p, 0, n - 1) for p, n in zip(partner, image.shape, strict=True)))]
    return np.where(inside[0][:, None] & inside[1], turned, np.zeros((), image.dtype))


def network_input(electrons: AnyArray, centre_px: AnyArray, stride: int) -> Float32Array:
    """Stack what a network sees (1, 2, ky, kx): the pattern and its inversion, padded to multiples of the stride."""
    z = stabilise(electrons)
    pair = np.stack([z, invert_about(z, centre_px)])
    padding = [(0, -n % stride) for n in z.shape]
    return np.ascontiguousarray(np.pad(pair, [(0, 0), *padding])[None])


def prepare(patterns: AnyArray, gain: float, valid: BoolArray | None) -> Float32Array:
    """Turn patterns (n, ky, kx) in detector units into electrons, with spikes and invalid pixels filled."""
    from friedel.patterns.repair import remove_spikes

    return np.asarray(np.maximum(remove_spikes(patterns, gain=gain, valid=valid), 0.0) / np.float32(gain))


def run_weights(path: Path, sha256: str, inputs: dict[str, AnyArray]) -> list[Any]:
    """Run the weights that have this hash on named inputs, and return all outputs.

    Raises
    ------
    WeightsError, FileError
        If the file was changed after its card was read, is no plain ONNX file, or does not hold together.
    """
    with _blaming(path):
        session = open_session(str(path), sha256)
    on_gpu = device_of_session(session) == "cuda"
    with _blaming_gpu(path) if on_gpu else _blaming(path):
        outputs: list[Any] = session.run(None, inputs)
    return outputs


def device_of(name_or_path: str) -> Device:
    """Tell where a shipped network, or one from a file of weights, runs in this process."""
    card_path = find_card(name_or_path)
    card = load_card(card_path)
    path = card_path.parent / card.file
    with _blaming(path):
        return device_of_session(open_session(str(path), card.sha256))


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Blame the file of weights for what ONNX Runtime raises, which has no base of its own."""
    try:
        yield
    except FriedelError:
        raise
    except Exception as error:
        raise CorruptFileError(path, f"it does not run ({error})", "Fetch it and its card anew.") from error


@contextlib.contextmanager
def _blaming_gpu(path: Path) -> Iterator[None]:
    """Blame the GPU for what fails on it."""
    try:
        yield
    except Exception as error:
        raise WeightsError(
            path, f"the GPU failed to run it ({error})", "Free its memory, or hide it: set CUDA_VISIBLE_DEVICES to ''."
        ) from error


@lru_cache(maxsize=4)
def open_session(path: str, sha256: str) -> Any:
    """Open the weights that have this hash in this process, with nothing from other files."""
    return start_session(read_weights(Path(path), sha256))


def read_weights(path: Path, sha256: str) -> bytes:
    """Read a file of weights, which must have this hash and be a plain ONNX file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror})", "Check the path.") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CorruptFileError(path, "it is not the file that its card describes", "Fetch both anew.")
    require_plain_onnx(data, path)
    return data
