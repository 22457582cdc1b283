"""Spots found in noisy patterns with and without the network, by dose, by noise part, on nothing, and how fast.

Test crystals are those that no network was trained or tuned on. Settings of every filter, and the gain and threshold
with which the standard detector reads what it leaves, are the best of several on validation crystals, for each dose by
itself. With --write the tables are put into docs/bench/denoiser.md, in place of those of the same names.

python bench/denoise.py [--patterns 60] [--nothing 600] [--weights denoiser] [--only PART ...] [--write]
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from denoise_maps import map_accuracy
from denoise_methods import MAX_FALSE, Tuned, by_network, classical, score_network, total, tune, tune_network
from denoise_patterns import RANGES, Case, make_cases, training_like_noise
from denoise_scan import pooled_scan_scores
from denoise_speed import speeds
from skimage.metrics import structural_similarity

from friedel.core.arrays import AnyArray, FloatArray
from friedel.nets.inference import Network, load_network, stabilise
from friedel.nets.scoring import WANTED, Score
from friedel.simulate.patterns.detector import Detector
from friedel.simulate.ranges import Range
from friedel.simulate.training.materials import Material, load_materials

DOCS = Path(__file__).parents[1] / "docs" / "bench" / "denoiser.md"
DOSES = (30, 100, 300, 1000, 3000, 10000)
_VALIDATION_SEED, _TEST_SEED, _FILM_SEED = 11, 12, 13
FILM: dict[str, Any] = {"halo_share": 0.3, "amorphous_share": 0.2}
CRYSTAL: dict[str, Any] = {"scattering": "bloch"}
NO_CRYSTAL: dict[str, Any] = {"noise_changes": FILM, "no_crystal": True}
_TUNED, _SHIPPED = "network's spot map, tuned alike", "network's spot map, as shipped"
#: A hybrid pixel detector with a few bad pixels, and a camera whose scintillator spreads light between pixels.
COUNTING = Detector(psf_px=0.6, dead_share=5e-4, hot_share=5e-4)
SCINTILLATOR = Detector(psf_px=0.6, tail_share=0.2, is_counting=False, gain=50.0, read_noise_electrons=0.1)
#: Dose at which parts of the noise are looked at one by one.
_ABLATION_DOSE = 1000.0


@dataclass(frozen=True, slots=True)
class Page:
    """Tables by their titles, and the line that says where they were made."""

    about: str
    tables: dict[str, str]

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
        lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
        self.tables[title] = "\n".join([*lines, "", f"*{note}{self.about}*", ""])
        print(f"### {title}\n\n{self.tables[title]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patterns", type=int, default=60)
    parser.add_argument("--nothing", type=int, default=600, help="patterns of each kind without a crystal")
    parser.add_argument("--weights", default="denoiser")
    parser.add_argument("--only", nargs="*", choices=("dose", "nothing", "parts", "scan", "maps", "speed"))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    network = load_network(args.weights)
    materials = load_materials()
    card = network.card
    page = Page(f"{card.name} {card.version}, {dt.datetime.now(dt.UTC).date()}, {platform.machine()}.", {})
    parts: dict[str, Callable[[], None]] = {
        "dose": lambda: by_dose(page, network, materials, args.patterns),
        "nothing": lambda: on_nothing(page, network, materials, args.nothing),
        "parts": lambda: by_part(page, network, materials, args.patterns),
        "scan": lambda: on_scan(page, network, materials),
        "maps": lambda: on_maps(page),
        "speed": lambda: speed(page, network),
    }
    for name in args.only or parts:
        parts[name]()
    if args.write:
        _write(page)


def of_split(materials: Sequence[Material], split: str) -> list[Material]:
    return [m for m in materials if m.split == split]


def by_dose(page: Page, network: Network, materials: Sequence[Material], n: int) -> None:
    """Compare all filters and the network at each dose."""
    known_n, rows, limits = max(n // 2, 8), dict[str, list[Measured]](), list[float]()
    for dose in DOSES:
        noise = training_like_noise(float(dose))
        known, empty = (
            make_cases(of_split(materials, "validation"), known_n, _VALIDATION_SEED, noise, **options)
            for options in (CRYSTAL, NO_CRYSTAL)
        )
        test = make_cases(of_split(materials, "test"), n, _TEST_SEED, noise, **CRYSTAL)
        film = make_cases(of_split(materials, "test"), n, _FILM_SEED, noise, **NO_CRYSTAL)
        limits.append(recall_of_all_light(test))
        for name, choices in (classical() | {"network's pattern": [by_network(network)]}).items():
            tuned, careful = tune(choices, known, empty)
            quiet = total(careful.scores(test)).f1, total(careful.scores(film)).false / n
            measured = Measured(tuned.scores(test), tuned.scores(film), quiet, picture_quality(tuned, test))
            rows.setdefault(name, []).append(measured)
        for name, trust in ((_TUNED, tune_network(network, known)), (_SHIPPED, None)):
            found, false = (score_network(network, cases, trust) for cases in (test, film))
            quiet = total(found).f1, total(false).false / n
            rows.setdefault(name, []).append(Measured(found, false, quiet if name == _SHIPPED else None))
    note = f"{n} test patterns at each dose, settings chosen on {known_n} of validation crystals. "
    dose_tables(page, rows, limits, note)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a method does at one dose.

    Parameters
    ----------
    found, false
        Scores of patterns with a crystal, and of films without.
    quiet
        F1 and false spots per film with the settings that see little in films; None where that was not asked.
    quality
        PSNR and SSIM; None for what makes no pictures.
    """

    found: list[Score]
    false: list[Score]
    quiet: tuple[float, float] | None
    quality: tuple[float, float] | None = None


def dose_tables(page: Page, rows: dict[str, list[Measured]], limits: Sequence[float], note: str) -> None:
    """Write what was measured at each dose."""
    limit_f1 = [f"{2 * recall / (1 + recall):.2f}" for recall in limits]
    limit = [f"1.00 / {recall:.2f}" for recall in limits]
    tables: tuple[tuple[str, Callable[[Measured], str | None], list[str]], ...] = (
        ("F1 of spots", lambda m: f"{total(m.found).f1:.2f} ± {f1_error(m.found):.2f}", limit_f1),
        ("Precision / recall", lambda m: f"{total(m.found).precision:.2f} / {total(m.found).recall:.2f}", limit),
        ("Position error, px (one sigma along one axis)", lambda m: f"{total(m.found).error_px:.2f}", []),
        ("False spots per pattern of an amorphous film, with the same settings",
         lambda m: mean_and_error([s.false for s in m.false], 2), []),
        (f"F1 / false spots per film, with settings that see at most {MAX_FALSE:g} in validation films",
         lambda m: m.quiet and f"{m.quiet[0]:.2f} / {m.quiet[1]:.2f}", []),
        ("PSNR of the stabilised pattern, dB", lambda m: m.quality and f"{m.quality[0]:.1f}", []),
        ("SSIM of the stabilised pattern", lambda m: m.quality and f"{m.quality[1]:.3f}", []),
    )  # fmt: skip
    for title, text, known in tables:
        lines = [(name, *cells) for name, row in rows.items() if all(cells := [text(m) or "" for m in row])]
        if known:
            lines.append(("of all spots that left an electron", *known))
        page.table(title, ("electrons per pattern", *map(str, DOSES)), lines, note)


def f1_error(scores: Sequence[Score]) -> float:
    """Standard error of F1 over patterns: the jackknife (Efron and Stein, Ann. Statist. 9, 586, 1981)."""
    f1 = f1_left_out(scores)
    return float(np.sqrt((len(f1) - 1) * f1.var()))


def f1_left_out(scores: Sequence[Score]) -> FloatArray:
    """F1 of all patterns but one, for each that is left out."""
    hits, false, missed = np.array([(s.hits, s.false, s.missed) for s in scores], dtype=float).T
    hits, false, missed = (values.sum() - values for values in (hits, false, missed))
    return np.asarray(2.0 * hits / np.maximum(2.0 * hits + false + missed, 1.0))


def mean_and_error(counts: Sequence[int], digits: int) -> str:
    """Mean of counts, with its standard error."""
    return f"{np.mean(counts):.{digits}f} ± {np.std(counts) / np.sqrt(len(counts)):.{digits}f}"


def recall_of_all_light(cases: Sequence[Case]) -> float:
    """Share of the wanted spots that left an electron: one of N expected electrons leaves none with chance exp(-N)."""
    expected = []
    for case in cases:
        inner = case.annulus_inv_a[0] / float(np.mean(case.grid.step_inv_a))
        far = np.hypot(*(case.spot_px - case.grid.centre_px).T) >= inner
        expected.append(case.spot_electrons[far & (case.spot_kind == WANTED)])
    return float(-np.expm1(-np.concatenate(expected)).mean())


def picture_quality(
    tuned: Tuned, cases: Sequence[Case], truth: Callable[[Case], AnyArray] = lambda case: case.expected
) -> tuple[float, float]:
    """Mean PSNR (dB) and SSIM of filtered patterns against the expected or other ones, both variance-stabilised."""
    psnr, ssim = [], []
    for case in cases:
        wanted, found = stabilise(truth(case)), stabilise(tuned.apply(case))
        top = float(wanted.max())
        psnr.append(10.0 * np.log10(top**2 / max(float(((found - wanted) ** 2).mean()), 1e-12)))
        ssim.append(structural_similarity(wanted, found, data_range=top))
    return float(np.mean(psnr)), float(np.mean(ssim))


def on_nothing(page: Page, network: Network, materials: Sequence[Material], n: int) -> None:
    """Count false spots where there is no crystal, for the network and for the detector at its default."""
    quiet: dict[str, Any] = {"halo_share": 0.0, "amorphous_share": 0.0, "stop_radius_px": 0.0, "detector": COUNTING}
    kinds: dict[str, dict[str, Any]] = {
        "vacuum: the beam alone": quiet,
        "film: halo and amorphous rings": quiet | FILM,
        "noise: even light, almost no beam": quiet | {"halo_share": 0.97, "halo_width_inv_a": 1.5},
        "film, scintillator camera": quiet | FILM | {"detector": SCINTILLATOR},
        "film behind a beam stop": quiet | FILM | {"stop_radius_px": 8.0},
    }
    rows = []
    for title, changes in kinds.items():
        row = [title]
        for dose in DOSES:
            noise = training_like_noise(float(dose))
            cases = make_cases(
                of_split(materials, "test"), n, _FILM_SEED, noise, noise_changes=changes, no_crystal=True
            )
            row.append(mean_and_error([s.false for s in score_network(network, cases)], 3))
        rows.append(row)
    head = ("electrons per pattern", *map(str, DOSES))
    page.table("False spots per pattern on nothing, network's spot map as shipped", head, rows, f"{n} patterns each. ")


def by_part(page: Page, network: Network, materials: Sequence[Material], n: int) -> None:
    """Add one part of the noise at a time to Poisson noise, and change centre, scale and shape of the spots."""
    clean: dict[str, Any] = {
        "halo_share": 0.0, "amorphous_share": 0.0, "blur_px": 0.0, "ellipticity": 0.0, "stop_radius_px": 0.0,
        "salt_share": 0.0, "pepper_share": 0.0, "detector": Detector(psf_px=0.5),
    }  # fmt: skip
    spots = replace(RANGES, disk_radius_px=Range(0, 0, chance=0.0))
    changes: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "Poisson noise alone": ({}, {}),
        "halo, 40 %": ({"halo_share": 0.4}, {}),
        "amorphous rings, 20 %": ({"amorphous_share": 0.2}, {}),
        "blur of 1.2 px": ({"blur_px": 1.2}, {}),
        "ellipticity of 3 %": ({"ellipticity": 0.03}, {}),
        "beam stop": ({"stop_radius_px": 8.0}, {}),
        "salt and pepper, 0.3 % each": ({"salt_share": 0.003, "pepper_share": 0.003}, {}),
        "scintillator camera": ({"detector": SCINTILLATOR}, {}),
        "disks of 4 px": ({}, {"ranges": replace(spots, disk_radius_px=Range(4, 4))}),
        "disks of 8 px": ({}, {"ranges": replace(spots, disk_radius_px=Range(8, 8))}),
        "coarse pixels (to 2.0 1/Å)": ({}, {"ranges": replace(spots, reach_inv_a=Range(2, 2))}),
        "fine pixels (to 0.5 1/Å)": ({}, {"ranges": replace(spots, reach_inv_a=Range(0.5, 0.5))}),
        "96 x 160 px": ({}, {"shape": (96, 160)}),
        "256 x 256 px": ({}, {"shape": (256, 256)}),
        "two-beam intensities": ({}, {"scattering": "two-beam"}),
    }
    noise, rows = training_like_noise(_ABLATION_DOSE), []
    known, test = of_split(materials, "validation"), of_split(materials, "test")
    dog, _ = tune(classical()["none"], make_cases(known, n, _VALIDATION_SEED, noise, **CRYSTAL), [])
    for title, (part, options) in changes.items():
        options = {"scattering": "bloch", "ranges": spots} | options
        cases = make_cases(test, n, 14, noise, noise_changes=clean | part, **options)
        found = [(total(s).f1, f1_error(s)) for s in (dog.scores(cases), score_network(network, cases))]
        rows.append((title, *(f"{f1:.2f} ± {error:.2f}" for f1, error in found)))
    cases = make_cases(test, n, 14, noise, noise_changes=clean, scattering="bloch", ranges=spots)
    for off in (1.0, 3.0, 10.0):
        moved = [told_elsewhere(case, off) for case in cases]
        rows.append((f"centre told {off:g} px wrong", "", f"{total(score_network(network, moved)).f1:.2f}"))
    head = ("part", "detector alone", "network")
    page.table(f"F1 at {_ABLATION_DOSE:g} electrons, one part at a time", head, rows, f"{n} patterns each. ")


def told_elsewhere(case: Case, off_px: float) -> Case:
    """Tell a centre that is off by so many pixels; everything else stays where it is."""
    y, x = case.grid.centre_px
    return replace(case, grid=case.grid.with_centre((y + 0.6 * off_px, x - 0.8 * off_px)))


def on_scan(page: Page, network: Network, materials: Sequence[Material]) -> None:
    """Judge neighbours and principal components, which need a scan."""
    rows = pooled_scan_scores(network, of_split(materials, "test"), DOSES[:5])
    head = ("electrons per pattern", *map(str, DOSES[:5]))
    note = "Three scans of 10 x 12 positions; thresholds of the detector are the best for these very scans. "
    page.table("F1 of spots in scans of grains, all positions / next to a boundary", head, rows, note)


def on_maps(page: Page) -> None:
    """Map phases with and without the network."""
    doses = (100, 300, 1000, 10000)
    head = ("electrons per pattern", *map(str, doses))
    note = "252 positions of a simulated scan of NMC811; 448 of one by an independent multislice program. "
    page.table("Positions with the right phases, without / with the network", head, map_accuracy(doses), note)


def speed(page: Page, network: Network) -> None:
    """Measure patterns a second on one core."""
    page.table("Patterns a second on one core", ("", "128 x 128", "256 x 256", "GFLOP a pattern"), speeds(network))


def _write(page: Page) -> None:
    """Put the tables into the page; others that are there stay."""
    marker = "<!-- Everything below is written by bench/denoise.py -->"
    text, _, below = DOCS.read_text(encoding="utf-8").partition(marker)
    kept = dict(part.split("\n\n", 1) for part in below.split("### ")[1:])
    tables = {title: f"{table.strip()}\n" for title, table in (kept | page.tables).items()}
    sections = [f"### {title}\n\n{table}" for title, table in tables.items()]
    DOCS.write_text("\n".join([text.rstrip(), "", marker, "", *sections]), encoding="utf-8")


if __name__ == "__main__":
    began = time.process_time()
    main()
    print(f"{time.process_time() - began:.0f} CPU s")
