"""Comparing the map of a run with a truth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from friedel.core.errors import DataError
from friedel.core.phase_map import PhaseMap
from friedel.identify.metrics import THERE, Evaluation, evaluate_map
from friedel.pipeline.runs.files import load_map_attributes, load_phase_map, plain_values, write_json
from friedel.pipeline.runs.folder import writing_to
from friedel.report.evaluation import (
    confusion_table,
    overall_table,
    phase_table,
    plot_agreement,
    plot_reliability,
    reliability_table,
    set_name,
)
from friedel.report.html import Picture, Report, Section, write_report
from friedel.report.maps import plot_phase_map
from friedel.report.style import png_of


@dataclass(frozen=True, slots=True, eq=False)
class RunEvaluation:
    """A run's map, the truth on its positions, the threshold of presence, and how well they agree."""

    found: PhaseMap
    truth: PhaseMap
    min_probability: float
    evaluation: Evaluation


def evaluate_run(run: str | Path, truth: str | Path, min_probability: float | None = None) -> RunEvaluation:
    """Compare the phase map of a run with a truth.

    Parameters
    ----------
    run
        Run folder.
    truth
        A ``phase_map.zarr``, or a run folder that holds one. If the run covers a part of a scan or micrograph, or is
        coarser than the image, the truth of the whole image is cut and thinned to its positions.
    min_probability
        Presence from which on a phase counts as named; None takes the threshold of the run.

    Raises
    ------
    RunFolderError
        If one of them cannot be read.
    DataError
        If they do not belong together, or the run is a series.
    """
    attributes = load_map_attributes(run)
    if "first_frame" in attributes:
        raise DataError(
            f"{run} is a series, whose maps follow the drift: they do not lie on the pixels of a truth. "
            "Map single frames as micrographs, or compare the areas in evolution.csv with those of the truth."
        )
    found, known = load_phase_map(run), load_phase_map(truth)
    threshold = float(attributes["min_probability"]) if min_probability is None else min_probability
    known = _on_positions_of(known, attributes, found.valid.shape)
    return RunEvaluation(found, known, threshold, evaluate_map(found, known, threshold))


def _on_positions_of(truth: PhaseMap, attributes: Mapping[str, Any], shape: tuple[int, ...]) -> PhaseMap:
    """Cut a truth to the region of a run and take every position that the run has."""
    if truth.valid.shape == shape or "roi" not in attributes:
        return truth
    step = int(attributes.get("step_px", 1))
    rows, columns = (slice(first, last, step) for first, last in attributes["roi"])
    return replace(truth, presence=truth.presence[rows, columns], valid=truth.valid[rows, columns], grid=None)


def record_of(result: RunEvaluation) -> dict[str, Any]:
    """Return all figures in plain types, as ``evaluation.json`` holds them; a ratio of nothing to nothing is None."""
    found = result.evaluation
    phases = [s.phase for s in found.phases]
    reliability = found.reliability
    record = {
        "n_positions": found.n_positions,
        "min_probability": result.min_probability,
        "accuracy": found.accuracy,
        "kappa": found.kappa,
        "calibration_error": reliability.calibration_error,
        "false_naming": found.false_naming,
        "phases": {
            s.phase: {
                "n_there": s.n_there,
                "n_named": s.n_named,
                "precision": s.precision,
                "recall": s.recall,
                "f1": s.f1,
                "iou": s.iou,
                "calibration_error": s.calibration_error,
            }
            for s in found.phases
        },
        "foreign": {
            s.phase: {"n_alone": s.n_alone, "n_named": s.n_named, "false_naming": s.false_naming} for s in found.foreign
        },
        "sets": [set_name(int(bits), phases) for bits in found.sets],
        "confusion": found.confusion.tolist(),
        "reliability": {
            "edges": reliability.edges.tolist(),
            "n": reliability.n.tolist(),
            "promised": reliability.promised.tolist(),
            "found": reliability.found.tolist(),
        },
    }
    return dict(plain_values(record))


def write_evaluation(out: Path, result: RunEvaluation, title: str) -> None:
    """Write ``evaluation.json`` and ``evaluation.html`` into a folder."""
    with writing_to(out):
        out.mkdir(parents=True, exist_ok=True)
    write_json(out / "evaluation.json", record_of(result))
    with writing_to(out):
        write_report(out / "evaluation.html", _report(result, title))


def _report(result: RunEvaluation, title: str) -> Report:
    found = result.evaluation
    threshold = result.min_probability
    known = replace(result.truth, valid=result.truth.valid & result.found.valid)
    pictures = (
        Picture(png_of(plot_phase_map(known, THERE)), "The truth.", "Map of the truth"),
        Picture(png_of(plot_phase_map(result.found, threshold)), "What was found.", "Map of what was found"),
        Picture(
            png_of(plot_agreement(_is_right(result), known.valid)), "Where the set of phases is right.", "Agreement"
        ),
    )
    reliability = Picture(
        png_of(plot_reliability(found.reliability)),
        "Presence against what is there, all candidates together; the larger a dot, the more positions.",
        "Reliability curve",
    )
    verdict = (
        f"The set of phases is right at {100 * found.accuracy:.1f} % of {found.n_positions} positions.",
        *(f"{s.phase}: {_percent(s.recall)} of it found; {_percent(s.precision)} of what is called so is right."
          for s in found.phases),
    )  # fmt: skip
    return Report(
        title,
        f"evaluation against a truth · a phase is named where its presence is at least {threshold:g}",
        verdict,
        sections=(
            Section("Maps", pictures=pictures),
            Section("All phases", tables=(overall_table(found), confusion_table(found))),
            Section("By phase", tables=(phase_table(found),)),
            Section(
                "Is the presence calibrated?",
                ("Of the positions with presence 0.9, nine in ten should have the phase.",),
                (reliability,),
                (reliability_table(found.reliability),),
            ),
        ),
    )  # fmt: skip


def _is_right(result: RunEvaluation) -> Any:
    """Where truth and map have the same set of candidates, (y, x)."""
    wrong = np.zeros(result.found.valid.shape, dtype=bool)
    for i, name in enumerate(result.found.phases):
        named = result.found.presence[..., i] >= result.min_probability
        if name in result.truth.phases:
            wrong |= named != (result.truth.presence[..., result.truth.phases.index(name)] >= THERE)
        else:
            wrong |= named
    return ~wrong


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"
