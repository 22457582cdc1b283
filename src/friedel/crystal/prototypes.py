"""Real substances among the AFLOW prototypes that pymatgen ships."""

from __future__ import annotations

import gzip
import json
import math
import re
import unicodedata
from collections import Counter
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.errors import CrystalError
from friedel.crystal.structure import Crystal
from friedel.crystal.symmetrise import crystal_of_atoms

_TOLERANCE_A = 1e-3
#: LaTeX's accents as combining characters, and its letters.
_ACCENTS = {'"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "v": "\u030c", "c": "\u0327"}
_LETTERS = {"AA": "Å", "AE": "Æ", "O": "Ø", "aa": "å", "ae": "æ", "o": "ø"}

#: AFLOW labels that are left out, with the elements where one label holds several, and why.
LEFT_OUT = {
    "a model of a disordered alloy or mineral, not a substance": (
        "AB11CD3_cP16_221_a_dg_b_c", "AB18C8_cF108_225_a_eh_f", "AB27CD3_cP32_221_a_dij_b_c", "AB4C3_cI16_229_a_c_b",
        "A9B16C7_cF128_225_acd_2f_be", "AB12C3_cI32_229_a_h_b", "sigma_tP30_136_bf2ij", "A2B_hP9_147_g_ad",
        "AB32C48_cI162_204_a_2efg_2gh", "ABC6D2_mC40_15_e_e_3f_f", "A3BC_tP5_99_bc_a_b", "A3BC_mC10_8_ab_a_a",
        "AB3C6_cI80_206_a_d_e", "A_hP1_191_a", "AB4C_hP6_191_a_h_b", "A2B_oC12_38_de_ab", "AB3_tI16_140_b_ah",
    ),
    "predicted, or never confirmed": (
        "A_hP6_194_h", "A_tI8_139_h", "A_tI4_139_e", "A2B_mP12_3_bc3e_2e", "AB4_cP5_215_a_e", "A_cP46_223_dik",
        "A_tP50_134_b2m2n", "AB3_oC8_65_a_bf", "AB3_tP4_123_a_ce", "AB_oP2_25_b_a",
    ),
    "an early structure that a later one replaced": (
        "A_tP16_138_j", "A_hP4_186_ab", "AB_hP4_186_b_a", "A_mC12_5_3c", "AB2_aP12_1_4a_8a", "AB_oF8_69_a_b",
        "A4B3_cI14_229_c_b",
    ),
    "a volume per atom that contradicts the measured density": (
        "A_cI16_206_c", "A_tI2_139_a In", "A2B_oP24_61_2c_c", "AB_tP4_131_c_e", "AB_mC8_15_c_e", "A3B_cI8_229_b_a",
    ),
    "atoms nearer to each other than their bond": (
        "AB2_oF72_43_ab_3b", "AB_mP4_11_e_e", "AB2_hP24_194_ef_fgh", "ABC_cP12_198_a_a_a", "A2B_oP12_19_2a_a",
        "AB11_cP36_221_c_agij",
    ),
}  # fmt: skip


@cache
def load_prototypes() -> tuple[Crystal, ...]:
    """Load the AFLOW prototypes of pymatgen that are measured structures of ordered substances, in AFLOW's order.

    The library holds 288; ``LEFT_OUT`` names those that are dropped, and why.

    Raises
    ------
    CrystalError
        If pymatgen is not installed.
    """
    dropped = {label for labels in LEFT_OUT.values() for label in labels}
    kept = [entry for entry in _library() if dropped.isdisjoint(_labels(entry))]
    return tuple(_crystal(entry) for entry in kept)


def _library() -> list[dict[str, Any]]:
    """Entries of the library as they are stored; pymatgen itself takes seconds to parse their references."""
    spec = find_spec("pymatgen") and find_spec("pymatgen.analysis.prototypes")
    if spec is None or spec.origin is None:
        raise CrystalError("The AFLOW prototypes come with pymatgen. Install it: pip install 'friedel[train]'")
    path = Path(spec.origin).with_name("aflow_prototypes.json.gz")
    if not path.is_file():
        raise CrystalError(
            f"This version of pymatgen ({version('pymatgen')}) has no {path.name} where friedel looks for it ({path}). "
            "Install the version that constraints.txt names."
        )
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        entries: list[dict[str, Any]] = json.load(stream)
    return entries


def _labels(entry: dict[str, Any]) -> tuple[str, str]:
    """AFLOW label alone, and with the formula, which tells the substances of one prototype apart."""
    label = str(entry["tags"]["aflow"])
    return label, f"{label} {_formula(entry)}"


def _formula(entry: dict[str, Any]) -> str:
    """Reduced formula, elements in the order of the sites."""
    counts = Counter(_elements(entry))
    divisor = math.gcd(*counts.values())
    return "".join(f"{e}{n // divisor if n > divisor else ''}" for e, n in counts.items())


def _elements(entry: dict[str, Any]) -> list[str]:
    return [str(site["species"][0]["element"]) for site in entry["snl"]["sites"]]


def _crystal(entry: dict[str, Any]) -> Crystal:
    snl = entry["snl"]
    return crystal_of_atoms(
        f"{_formula(entry)} {entry['tags']['aflow']}",
        np.array(snl["lattice"]["matrix"]),
        np.array([site["abc"] for site in snl["sites"]]),
        [((element, 1.0),) for element in _elements(entry)],
        source=_reference(str(snl["about"]["references"])),
        tolerance_a=_TOLERANCE_A,
    )


def _reference(bibtex: str) -> str:
    """First reference of a BibTeX list in words, and AFLOW's own."""
    first = bibtex.partition("\n}")[0]
    found = {key: re.search(rf"\b{key}\s*=\s*[\"{{](.*?)[\"}}],?\s*$", first, re.MULTILINE)
             for key in ("author", "journal", "volume", "page_first", "year")}  # fmt: skip
    parts = [" ".join(_plain(match.group(1)).split()) for match in found.values() if match]
    return f"{', '.join(parts)}; as in M. J. Mehl et al., Comput. Mater. Sci. 136, S1 (2017)"


def _plain(latex: str) -> str:
    """Text of LaTeX with accents and special letters as one writes them."""

    def accented(match: re.Match[str]) -> str:
        return unicodedata.normalize("NFC", match[2] + _ACCENTS[match[1]])

    text = re.sub(r"\\([\"'`^~vc])\{\\?(\w)\}", accented, latex)
    text = re.sub(r"\\([\"'`^~])(\w)", accented, text)
    text = re.sub(r"\\(AA|AE|O|aa|ae|o)", lambda match: _LETTERS[match[1]], text)
    return re.sub(r"[{}$]", "", text)
