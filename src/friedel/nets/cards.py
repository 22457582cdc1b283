"""Weights and their cards: what a network is, how it was made, what it can do and what it cannot."""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from friedel.core.errors import CorruptFileError, FileError, FriedelError
from friedel.nets.architecture import Architecture

_SHIPPED = Path(__file__).parent / "weights"
#: The network that ``auto`` stands for.
DEFAULT_WEIGHTS = "denoiser"
_MAX_CARD_BYTES = 1 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Preprocessing(_Strict):
    """What is done to a pattern before the network sees it.

    ``transform``: "anscombe" is 2 sqrt(n + 3/8) - 2 sqrt(3/8) of counts n in electrons. ``channels``: the pattern, and
    the pattern inverted about the transmitted beam. Sizes are padded with zeros to multiples of ``stride``. Patterns of
    more than ``max_electrons`` are scaled down to that many.
    """

    transform: Literal["anscombe"] = "anscombe"
    channels: tuple[Literal["pattern"], Literal["inverted"]] = ("pattern", "inverted")
    stride: Annotated[int, Field(ge=1, le=1024)]
    max_electrons: Annotated[float, Field(gt=0)]


class SpectrumPreprocessing(_Strict):
    """What is done to a power spectrum before the network sees it.

    ``transform``: "speckle" is the power over its noise floor, linear up to 16, and the logarithm of one more than it
    up to 100, of the half plane kx >= 0 with columns of the other half beside the seam: ``half_plane.network_input``.
    """

    transform: Literal["speckle"] = "speckle"
    channels: tuple[Literal["linear"], Literal["logarithm"], Literal["nearness"]] = ("linear", "logarithm", "nearness")
    stride: Annotated[int, Field(ge=1, le=1024)]


class Training(_Strict):
    """How the weights came about.

    ``recipe`` is the whole training recipe, ``data_sha256`` the hash of the crystals of a denoiser, or of a segmenter's
    spectra; ``patterns`` how many were seen, repetitions counted. ``start_sha256`` is the hash of the weights that it
    started from, if not from random ones: what those had seen comes on top.
    """

    recipe: dict[str, Any]
    recipe_sha256: str
    data_sha256: str
    seed: int
    patterns: int
    core_minutes: float
    machine: str
    date: str
    start_sha256: str | None = None


class Metric(_Strict):
    """What was measured on a set of patterns, at a dose in electrons per pattern."""

    test_set: str
    dose_electrons: float
    f1: float
    precision: float
    recall: float
    error_px: float
    false_on_nothing: float

    def __str__(self) -> str:
        return f"{self.dose_electrons:7.0f} electrons: F1 {self.f1:.2f}, {self.error_px:.2f} px ({self.test_set})"


class SegmenterMetric(_Strict):
    """What was measured on spectra of micrographs: of spots, and of the pixels in the mask.

    ``dose_e_per_a2``: lowest and highest dose of the micrographs, where it is known; ``false_per_image``: spots found
    that are none.
    """

    test_set: str
    dose_e_per_a2: tuple[float, float] | None = None
    f1: float
    precision: float
    recall: float
    false_per_image: float
    dice: float

    def __str__(self) -> str:
        dose = "" if self.dose_e_per_a2 is None else "{:.0f} to {:.0f} e/Å²: ".format(*self.dose_e_per_a2)
        return f"{dose}F1 {self.f1:.2f}, Dice {self.dice:.2f} ({self.test_set})"


class _Card(_Strict):
    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
    version: Annotated[int, Field(ge=1)]
    summary: str
    licence: str
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+\.onnx$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    parameters: Annotated[int, Field(ge=1)]
    architecture: Architecture
    training: Training
    limits: tuple[str, ...]


class OperatingPoint(_Strict):
    """When spots count in patterns that show so many electrons; see ``spot_map.Trust``."""

    electrons: Annotated[float, Field(gt=0)]
    threshold: Annotated[float, Field(gt=0, lt=1)]
    sure: Annotated[float, Field(ge=0)]


def _rising(points: tuple[OperatingPoint, ...]) -> tuple[OperatingPoint, ...]:
    if any(a.electrons >= b.electrons for a, b in itertools.pairwise(points)):
        raise ValueError("electrons must rise from point to point")
    return points


class WeightCard(_Card):
    """The card of a denoiser.

    ``points`` are chosen on validation data, by rising electrons; between them, both numbers are interpolated over the
    logarithm of the electrons.
    """

    preprocessing: Preprocessing
    points: Annotated[tuple[OperatingPoint, ...], Field(min_length=1), AfterValidator(_rising)]
    metrics: tuple[Metric, ...]


class SegmenterCard(_Card):
    """The card of a segmenter of spectra.

    ``threshold``: a region of the map that rises to this probability is a spot; ``mask_threshold``: pixels from this
    probability on belong to spots. Both are chosen on validation data.
    """

    preprocessing: SpectrumPreprocessing
    threshold: Annotated[float, Field(gt=0, lt=1)]
    mask_threshold: Annotated[float, Field(gt=0, lt=1)]
    metrics: tuple[SegmenterMetric, ...]


AnyCard = WeightCard | SegmenterCard


class WeightsError(FileError):
    """Weights or their card cannot be used."""


def shipped_names() -> tuple[str, ...]:
    """Names of the networks in the package."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.toml")))


def card_beside(path: str) -> Path | None:
    """Path that the card of a file of weights has; None for what is the name of a network."""
    named = Path(path)
    return named.with_suffix(".toml") if named.suffix in (".onnx", ".toml") else None


def find_card(name_or_path: str) -> Path:
    """Path of the card of a shipped network, or the one beside a file of weights.

    Raises
    ------
    WeightsError
        If there is none.
    """
    if name_or_path in shipped_names():
        return _SHIPPED / f"{name_or_path}.toml"
    card = card_beside(name_or_path)
    if card is not None and card.is_file():
        return card
    names = ", ".join(shipped_names()) or "none"
    raise WeightsError(
        name_or_path,
        "no weights of this name are shipped, and no file NAME.onnx with its card NAME.toml is there",
        f"Shipped: {names}. See: friedel weights list",
    )


def load_card(path: Path) -> AnyCard:
    """Read a card.

    Raises
    ------
    CorruptFileError
        If it is not a valid card; the message names every wrong entry.
    """
    try:
        data = path.read_bytes()[: _MAX_CARD_BYTES + 1]
        if len(data) > _MAX_CARD_BYTES:
            raise CorruptFileError(path, "it is too large for a card", "Use the card that came with the weights.")
        return parse_card(tomllib.loads(data.decode("utf-8")), path)
    except OSError as error:
        raise WeightsError(path, f"cannot be read ({error.strerror})", "Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorruptFileError(path, f"it is not valid TOML ({error})", "Use the card that came with them.") from error


def parse_card(values: dict[str, Any], path: Path) -> AnyCard:
    """Validate plain values."""
    import json

    try:
        how = values.get("preprocessing")
        is_segmenter = isinstance(how, dict) and how.get("transform") == "speckle"
        return (SegmenterCard if is_segmenter else WeightCard).model_validate_json(json.dumps(values))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
        raise CorruptFileError(path, "; ".join(lines), "Use the card that came with the weights.") from None
    except (FriedelError, TypeError, ValueError) as error:
        raise CorruptFileError(path, str(error), "Use the card that came with the weights.") from error


def dump_card(card: AnyCard) -> str:
    """Write a card as TOML."""
    return tomli_w.dumps(card.model_dump(mode="json", exclude_none=True))


def verify_weights(card_path: Path) -> AnyCard:
    """Read a card and make sure that the weights beside it are those that it describes.

    Raises
    ------
    WeightsError, CorruptFileError
        If the file is missing or another one.
    """
    card = load_card(card_path)
    weights = card_path.parent / card.file
    try:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(weights, f"cannot be read ({error.strerror})", f"{card_path} needs it.") from error
    if digest != card.sha256:
        raise CorruptFileError(
            weights, f"its sha256 is {digest}, and {card_path} describes {card.sha256}", "Fetch both anew."
        )
    return card
