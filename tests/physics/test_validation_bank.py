"""Validation on independent multislice patterns of ordinary crystals near low-index zones: loose bounds, nothing is
fitted to these data.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import friedel as fr

CANDIDATES = {"Si": "si", "TiO2_rutile": "tio2-rutile", "LiFePO4": "lifepo4", "Al": "al"}


@pytest.fixture(scope="module")
def presence(shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Presence of the candidates in each pattern that holds one of them, and which that is."""
    folder = shared_data / "multislice" / "bank"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    facts = json.loads((folder / "bank_truth.json").read_text(encoding="utf-8"))["patterns"]
    with np.load(folder / "bank.npz") as stored:
        clean = stored["scale"][:, None, None] * (stored["q"] / 4095.0) ** 2
    known = [i for i, fact in enumerate(facts) if fact["phase"] in CANDIDATES]
    counts = np.random.default_rng(0).poisson(10_000 * clean[known]).astype(np.uint16)
    truth = np.array([list(CANDIDATES).index(facts[i]["phase"]) for i in known])
    order = np.random.default_rng(1).permutation(len(known))
    grid = fr.ReciprocalGrid((0.02, 0.02), (64.0, 64.0), source="user", relative_sigma=0.005)
    scan = fr.PatternScan(counts[order][:, None], grid, None, fr.Beam(200.0, 1.5))
    result = fr.analyse_scan(scan, fr.load_phases(tuple(CANDIDATES.values())))
    return result.phase_map.presence[:, 0], truth[order]


def test_crystals_are_found_near_every_zone(presence: tuple[np.ndarray, np.ndarray]) -> None:
    """Measured on 21 November 2026, 32 patterns: 0.97 of them found with the counts, 0.75 with spots alone."""
    stated, truth = presence
    assert (stated[np.arange(len(truth)), truth] >= 0.5).mean() > 0.7


def test_right_name_is_the_likeliest(presence: tuple[np.ndarray, np.ndarray]) -> None:
    stated, truth = presence
    right = stated[np.arange(len(truth)), truth]
    rivals = np.where(np.arange(len(CANDIDATES)) == truth[:, None], -1.0, stated).max(axis=1)
    assert ((right > rivals) | (right < 0.5)).mean() > 0.85
