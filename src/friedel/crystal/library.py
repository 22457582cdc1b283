"""The phase library: CIF files shipped with friedel, and the user's own."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path

from friedel.core.errors import CrystalError, FileError
from friedel.crystal.cif import read_cif
from friedel.crystal.structure import Crystal

#: Other names of phases in the library, in lower case and without anything but letters and digits.
ALIASES = {
    "lithium": "li",
    "sodium": "na",
    "magnesium": "mg",
    "titanium": "ti",
    "silicon": "si",
    "germanium": "ge",
    "gold": "au",
    "silver": "ag",
    "copper": "cu",
    "platinum": "pt",
    "lead": "pb",
    "aluminium": "al",
    "aluminum": "al",
    "iron": "fe",
    "ferrite": "fe",
    "gammairon": "austenite",
    "gammafe": "austenite",
    "nickel": "ni",
    "carbon": "graphite",
    "corundum": "al2o3",
    "sapphire": "al2o3",
    "hematite": "fe2o3",
    "magnetite": "fe3o4",
    "wuestite": "feo",
    "cuprite": "cu2o",
    "tenorite": "cuo",
    "rutile": "tio2-rutile",
    "tio2": "tio2-rutile",
    "anatase": "tio2-anatase",
    "quartz": "sio2-quartz",
    "sio2": "sio2-quartz",
    "calcite": "caco3-calcite",
    "caco3": "caco3-calcite",
    "pyrite": "fes2",
    "fe3c": "cementite",
    "gphase": "ni16ti6si7",
    "ice": "ice-ih",
    "fluorite": "caf2",
    "ceria": "ceo2",
    "sic": "sic-3c",
    "hbn": "bn",
    "batio3": "batio3-cubic",
    "sto": "srtio3",
    "nmc811": "nmc811-o3",
    "ncm811": "nmc811-o3",
    "lco": "licoo2",
    "lno": "linio2",
    "lmo": "limn2o4",
    "lnmo": "lini0.5mn1.5o4",
    "lfp": "lifepo4",
    "lto": "li4ti5o12",
    "zabuyelite": "li2co3",
}


@dataclass(frozen=True, slots=True, eq=False)
class PhaseSet:
    """Phases that may be in a sample.

    Parameters
    ----------
    crystals
        One crystal per phase, at least one, with unique names.
    priors
        Probability of each phase before looking, positive, adding up to 1; equal where none are given.
    """

    crystals: tuple[Crystal, ...]
    priors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "crystals", tuple(self.crystals))
        n = len(self.crystals)
        if n == 0:
            raise CrystalError("A set of phases needs at least one phase. Pass --phases NAME_OR_CIF[,...].")
        if doubles := {name for name in self.names if self.names.count(name) > 1}:
            raise CrystalError(f"Phases must have unique names, got {', '.join(sorted(doubles))} more than once.")
        priors = tuple(float(p) for p in self.priors) or (1.0 / n,) * n
        if len(priors) != n or not all(p > 0 for p in priors) or abs(sum(priors) - 1) > 1e-6:
            raise CrystalError(f"priors must be {n} positive numbers that add up to 1, got {self.priors}.")
        object.__setattr__(self, "priors", priors)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the phases in order."""
        return tuple(crystal.name for crystal in self.crystals)

    def __len__(self) -> int:
        return len(self.crystals)


def phase_names() -> tuple[str, ...]:
    """Names of all phases that ``load_phase`` knows, the user's own among them, sorted."""
    return tuple(sorted({*_shipped_names(), *_user_files()}))


def user_folder() -> Path:
    """Folder of the user's own CIF files: $FRIEDEL_PHASES, else ~/.local/share/friedel/phases."""
    return Path(os.environ.get("FRIEDEL_PHASES") or Path.home() / ".local" / "share" / "friedel" / "phases")


def is_cif_path(name: str) -> bool:
    """Whether a phase is named by the path of a .cif file, rather than by its name in the library."""
    return name.strip().lower().endswith(".cif")


def load_phase(name_or_path: str | Path) -> Crystal:
    """Load a phase by its name in the library, another common name, or the path of a .cif file.

    Case and punctuation of names do not matter: "LiF", "NMC811 O3" and "nmc811-o3" are found.

    Raises
    ------
    CrystalError
        If there is no such phase; the message lists names that come close.
    FileError
        If a path is given and cannot be read.
    """
    text = str(name_or_path).strip()
    if is_cif_path(text):
        return read_cif(text)
    user = _user_files()
    known = {_key(name): name for name in (*user, *_shipped_names())}
    name = known.get(_key(text)) or ALIASES.get(_key(text), "")
    if name in _shipped_names():
        with as_file(files(__package__) / "library" / f"{name}.cif") as path:
            return read_cif(path)
    if name in user:
        return replace(read_cif(user[name]), name=name)
    inside = sorted((k for k in known if _key(text) and _key(text) in k), key=len)
    near = [*dict.fromkeys([*inside, *difflib.get_close_matches(_key(text), known, n=4, cutoff=0.5)])][:4]
    hint = f" Close names: {', '.join(known[k] for k in near)}." if near else ""
    raise CrystalError(
        f"{text!r} is neither a phase of the library nor a path to a .cif file.{hint} See: friedel phases list"
    )


def load_phases(names: Iterable[str | Path]) -> PhaseSet:
    """Load several phases as a set with equal priors."""
    return PhaseSet(tuple(load_phase(name) for name in names))


def is_shipped_name(name: str) -> bool:
    """Whether a phase that ships with friedel goes by this name."""
    return _key(name) in {*map(_key, _shipped_names()), *ALIASES}


def load_shipped_phases() -> tuple[Crystal, ...]:
    """Load every phase that ships with friedel, in the order of their names, and none of the user's own."""
    with as_file(files(__package__) / "library") as folder:
        return tuple(read_cif(folder / f"{name}.cif") for name in sorted(_shipped_names()))


def add_phase(path: str | Path, name: str | None = None) -> Crystal:
    """Check a CIF file and copy it into the user's library.

    Parameters
    ----------
    path
        The CIF file.
    name
        Name of the phase; by default the file's name in lower case.

    Raises
    ------
    CrystalError
        If the structure is impossible, or the name is malformed or already in use.
    FileError
        If the file cannot be read or the library not be written.
    """
    path = Path(path)
    crystal = read_cif(path)
    name = path.stem.lower().replace(" ", "-") if name is None else name
    if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]{0,63}", name) or name.endswith(".cif"):
        raise CrystalError(f"{name!r} cannot name a phase: use a-z, 0-9, '.', '-', '_' and '+'. Pass --name.")
    if _key(name) in {*map(_key, phase_names()), *ALIASES}:
        raise CrystalError(f"A phase named {name!r} is in the library already. Pass --name with another name.")
    target = user_folder() / f"{name}.cif"
    try:
        _copy_new(path, target)
    except OSError as error:
        remedy = "Set FRIEDEL_PHASES to a folder that you can write to, or pass --name."
        raise FileError(target, f"cannot be written: {error.strerror}", remedy) from None
    return replace(crystal, name=name)


def _copy_new(path: Path, target: Path) -> None:
    """Copy a file so that the target is there whole or not at all, and never replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", suffix=".part") as part:
        part.write(path.read_bytes())
        part.flush()
        os.link(part.name, target)


def _shipped_names() -> tuple[str, ...]:
    folder = files(__package__) / "library"
    return tuple(entry.name.removesuffix(".cif") for entry in folder.iterdir() if entry.name.endswith(".cif"))


def _user_files() -> dict[str, Path]:
    folder = user_folder()
    return {path.stem: path for path in sorted(folder.glob("*.cif"))} if folder.is_dir() else {}


def _key(name: str) -> str:
    """Letters and digits of a name, in lower case."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
