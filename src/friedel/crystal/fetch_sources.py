"""Structures from servers: any that speaks OPTIMADE, and the Materials Project's own interface."""

from __future__ import annotations

import math
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from friedel.core.arrays import FloatArray
from friedel.core.errors import CrystalError, FetchError
from friedel.crystal.fetch_http import HttpOptions, get_json
from friedel.crystal.symmetrise import Content

MATERIALS_PROJECT_URL = "https://api.materialsproject.org"
_MP_PAGE = 100
_OPTIMADE_FIELDS = ("lattice_vectors,cartesian_site_positions,species,species_at_sites,nsites,nperiodic_dimensions,"
                    "structure_features,chemical_formula_reduced,elements,last_modified")  # fmt: skip
_MP_FIELDS = "material_id,formula_pretty,structure,symmetry,last_updated,theoretical"
#: Features of a structure in OPTIMADE that mean that its list of atoms is not the whole truth.
_INCOMPLETE = ("implicit_atoms", "site_attachments", "assemblies", "unknown_positions")
_CONCENTRATION_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """All atoms of one cell, as a server gives them: rows a, b, c (3, 3) in Å, places (N, 3), what lies on each."""

    basis_a: FloatArray
    fract: FloatArray
    contents: tuple[Content, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RemoteStructure:
    """One answer of a server.

    Parameters
    ----------
    id
        Identifier in the data base, with the data base's prefix.
    url
        Where it can be looked up again.
    raw
        The structure as the server wrote it.
    source
        "optimade" or "materials project", which says how to read ``raw``.
    facts
        What else the server says: version of its data, time of the last change, expected symmetry.
    """

    id: str
    url: str
    raw: Mapping[str, Any]
    source: str
    facts: dict[str, Any] = field(default_factory=dict)

    def cell(self) -> Cell:
        """Read the atoms.

        Raises
        ------
        CrystalError
            If the structure is incomplete, contradicts itself, or is no crystal in three dimensions.
        """
        try:
            return _optimade_cell(self.raw) if self.source == "optimade" else _mp_cell(self.raw)
        except (KeyError, TypeError, ValueError, AttributeError, np.linalg.LinAlgError) as error:
            raise CrystalError(f"the server's answer is not understood ({type(error).__name__}: {error}).") from None


def optimade_filter(elements: Sequence[str], ids: Sequence[str]) -> str:
    """Write the filter for structures of exactly these elements, or with these identifiers."""
    if elements:
        quoted = ", ".join(f'"{_element(symbol)}"' for symbol in elements)
        return f"elements HAS ALL {quoted} AND nelements={len(elements)}"
    escaped = [name.replace("\\", "\\\\").replace('"', '\\"') for name in ids]
    return " OR ".join(f'id="{name}"' for name in escaped)


def optimade_structures(
    url: str, query: str, limit: int, options: HttpOptions | None = None
) -> Iterator[RemoteStructure]:
    """Ask an OPTIMADE server (Andersen et al., Sci. Data 8, 217, 2021) for structures, page by page.

    Parameters
    ----------
    url
        Base address, such as ``https://optimade.materialsproject.org``, with or without ``/v1``.
    query
        OPTIMADE filter.
    limit
        Largest number of structures.
    """
    base = url.rstrip("/")
    base = base if re.search(r"/v\d+(\.\d+)*$", base) else f"{base}/v1"
    # Pages have the size that the server prefers: one that is asked for more than it allows refuses.
    parameters = {"filter": query, "response_fields": _OPTIMADE_FIELDS}
    page: str | None = f"{base}/structures?{urllib.parse.urlencode(parameters)}"
    seen: set[str] = set()
    while page is not None and limit > 0:
        if page in seen:
            raise FetchError(f"{page}: the server names a page as its own successor. Tell its keepers.")
        seen.add(page)
        answer = get_json(page, options=options)
        meta, entries = answer.get("meta") or {}, answer.get("data")
        if not isinstance(entries, list) or "api_version" not in meta:
            raise FetchError(f"{page}: this is no answer of an OPTIMADE server. Is the address right?")
        for entry in entries[:limit]:
            yield _optimade_structure(base, meta, entry)
        limit -= len(entries)
        page = _next_page(page, answer.get("links") or {})


def materials_project_structures(
    key: str,
    elements: Sequence[str],
    ids: Sequence[str],
    limit: int,
    *,
    url: str = MATERIALS_PROJECT_URL,
    options: HttpOptions | None = None,
) -> Iterator[RemoteStructure]:
    """Ask the Materials Project (A. Jain et al., APL Mater. 1, 011002, 2013) for structures, page by page."""
    base, headers = url.rstrip("/"), {"X-API-KEY": key}
    version = get_json(f"{base}/heartbeat", options=options).get("db_version", "")
    what = {"chemsys": "-".join(sorted(_element(e) for e in elements))} if elements else {"material_ids": ",".join(ids)}
    skip = 0
    while skip < limit:
        size = min(limit - skip, _MP_PAGE)
        parameters = {**what, "deprecated": "false", "_fields": _MP_FIELDS, "_limit": str(size), "_skip": str(skip)}
        answer = get_json(f"{base}/materials/summary/", parameters, headers=headers, options=options)
        entries = answer.get("data")
        if not isinstance(entries, list):
            raise FetchError(f"{base}: this is no answer of the Materials Project. Is the address right?")
        for entry in entries[:size]:
            yield _mp_structure(base, str(version), entry)
        skip += size
        if len(entries) < size:
            return


def _element(symbol: str) -> str:
    if not re.fullmatch(r"[A-Z][a-z]?", symbol):
        raise FetchError(f"{symbol!r} is not the symbol of an element. Write --elements Li,O")
    return symbol


def _optimade_structure(base: str, meta: Mapping[str, Any], entry: Any) -> RemoteStructure:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        raise FetchError(f"{base}: the server lists a structure without an id.")
    attributes = entry.get("attributes") or {}
    prefix = (meta.get("provider") or {}).get("prefix") or urllib.parse.urlsplit(base).hostname or "optimade"
    facts = {
        "provider": prefix,
        "api_version": meta["api_version"],
        "last_modified": attributes.get("last_modified"),
        "formula": attributes.get("chemical_formula_reduced"),
        "space_group": attributes.get("space_group_it_number"),
    }
    name = entry["id"] if entry["id"].startswith(f"{prefix}-") else f"{prefix}-{entry['id']}"
    url = f"{base}/structures/{urllib.parse.quote(entry['id'], safe='')}"
    return RemoteStructure(name, url, attributes, "optimade", facts)


def _next_page(page: str, links: Mapping[str, Any]) -> str | None:
    """Address of the next page, which JSON:API gives as a text or as an object with ``href``."""
    link = links.get("next")
    link = link.get("href") if isinstance(link, dict) else link
    return urllib.parse.urljoin(page, str(link)) if link else None


def _mp_structure(base: str, version: str, entry: Any) -> RemoteStructure:
    if not isinstance(entry, dict) or not isinstance(entry.get("material_id"), str):
        raise FetchError(f"{base}: the server lists a structure without a material_id.")
    facts = {
        "provider": "mp",
        "database_version": version,
        "last_modified": entry.get("last_updated"),
        "formula": entry.get("formula_pretty"),
        "space_group": (entry.get("symmetry") or {}).get("number"),
        "theoretical": entry.get("theoretical"),
    }
    url = f"https://materialsproject.org/materials/{entry['material_id']}"
    return RemoteStructure(entry["material_id"], url, entry.get("structure") or {}, "materials project", facts)


def _optimade_cell(raw: Mapping[str, Any]) -> Cell:
    if missing := [name for name in _INCOMPLETE if name in (raw.get("structure_features") or [])]:
        raise CrystalError(f"its list of atoms is incomplete or ambiguous ({', '.join(missing)}).")
    if raw.get("nperiodic_dimensions") != 3:
        raise CrystalError(f"it repeats in {raw.get('nperiodic_dimensions')} dimensions, not in 3.")
    basis = np.array(raw["lattice_vectors"], dtype=np.float64).reshape(3, 3)
    positions = np.array(raw["cartesian_site_positions"], dtype=np.float64).reshape(-1, 3)
    named, at_sites = {entry["name"]: _optimade_content(entry) for entry in raw["species"]}, raw["species_at_sites"]
    if not len(positions) == len(at_sites) == raw.get("nsites", len(positions)):
        raise CrystalError(f"it has {len(positions)} positions and {len(at_sites)} species for {raw['nsites']} sites.")
    contents = tuple(named[name] for name in at_sites)
    held = {element for content in contents for element, _ in content}
    if raw.get("elements") and held != set(raw["elements"]):
        raise CrystalError(f"its sites hold {', '.join(sorted(held))}, and it is said to hold {raw['elements']}.")
    return _occupied(basis, positions @ np.linalg.inv(basis), contents)


def _optimade_content(species: Mapping[str, Any]) -> Content:
    """Elements and occupancies of a species; what is said to be vacant is left empty."""
    if species.get("attached"):
        raise CrystalError(f"the species {species['name']} stands for atoms whose places are not given.")
    total = math.fsum(species["concentration"])
    if abs(total - 1) > _CONCENTRATION_TOLERANCE:
        raise CrystalError(f"the concentrations of the species {species['name']} add up to {total:g}, not to 1.")
    pairs = list(zip(species["chemical_symbols"], species["concentration"], strict=True))
    return _content([(symbol, share) for symbol, share in pairs if symbol != "vacancy"])


def _mp_cell(raw: Mapping[str, Any]) -> Cell:
    """Read a pymatgen structure as a dictionary."""
    basis = np.array(raw["lattice"]["matrix"], dtype=np.float64).reshape(3, 3)
    fract = np.array([site["abc"] for site in raw["sites"]], dtype=np.float64).reshape(-1, 3)
    contents = tuple(_content([(part["element"], part["occu"]) for part in site["species"]]) for site in raw["sites"])
    return _occupied(basis, fract, contents)


def _content(parts: Sequence[tuple[str, float]]) -> Content:
    """Sum up the shares of equal elements (isotopes, valences), in alphabetical order."""
    shares: dict[str, float] = {}
    for symbol, share in parts:
        element = "H" if symbol == "D" else symbol
        if not re.fullmatch(r"[A-Z][a-z]?", element) or element == "X":
            raise CrystalError(f"it holds {symbol!r}, which is no element.")
        shares[element] = shares.get(element, 0.0) + float(share)
    return tuple((element, round(min(share, 1.0), 4)) for element, share in sorted(shares.items()) if share > 0)


def _occupied(basis: FloatArray, fract: FloatArray, contents: tuple[Content, ...]) -> Cell:
    """Drop places on which nothing lies, and refuse what is no number."""
    keep = [i for i, content in enumerate(contents) if content]
    if not (np.isfinite(basis).all() and np.isfinite(fract).all()) or not keep:
        raise CrystalError("its cell or positions hold no numbers, or it has no atoms.")
    return Cell(basis, fract[keep], tuple(contents[i] for i in keep))
