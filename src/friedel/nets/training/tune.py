"""Searching for a better training recipe, with bad trials cut short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from friedel.crystal import Crystal
from friedel.nets.architecture import Architecture
from friedel.nets.training.loop import train
from friedel.nets.training.recipe import DenoiserRecipe

#: Validations in a trial, after each of which it can be given up.
_LOOKS = 4


def tune(
    base: DenoiserRecipe,
    training: Sequence[Crystal],
    validation: Sequence[Crystal],
    out: Path,
    *,
    trials: int,
    device: str = "auto",
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> DenoiserRecipe:
    """Search learning rate, batch, width, loss weights and weight decay for the best mean F1 on validation patterns.

    Every trial sees as many patterns as the base recipe. The study is kept in ``out``; called again with more trials
    it goes on, and what it tries next depends on the seed and on what it has seen.

    Returns
    -------
    The base recipe with the best settings.
    """
    out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{(out / 'study.db').absolute()}"
    sampler = optuna.samplers.TPESampler(seed=base.seed)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0)
    study = optuna.create_study(
        study_name=base.digest, storage=storage, sampler=sampler, pruner=pruner, direction="maximize",
        load_if_exists=True,
    )  # fmt: skip
    finished = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    done = len(study.get_trials(deepcopy=False, states=finished))
    # The sampler's state is not kept: seed it anew for what comes, so that going on does not repeat the beginning.
    study.sampler = optuna.samplers.TPESampler(seed=base.seed + done)

    def objective(trial: optuna.Trial) -> float:
        recipe = _vary(base, trial)
        best = 0.0

        def look(step: int, rows: list[dict[str, object]]) -> None:
            nonlocal best
            best = float(np.mean([float(str(row["f1"])) for row in rows]))
            trial.report(best, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        train(recipe, training, validation, out / f"trial-{trial.number}", device=device, on_validation=look)
        return best

    for number in range(done, trials):
        study.optimize(objective, n_trials=1)
        complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        progress(number + 1, trials, f"best F1 {study.best_value:.4f}" if complete else "")
    return _with(base, study.best_params)


def _vary(base: DenoiserRecipe, trial: optuna.Trial) -> DenoiserRecipe:
    """Draw a recipe."""
    trial.suggest_float("learning_rate", 3e-4, 6e-3, log=True)
    trial.suggest_categorical("batch", [8, 16, 32])
    trial.suggest_categorical("width", [8, 16, 24, 32])
    trial.suggest_float("heat_weight", 2.0, 60.0, log=True)
    trial.suggest_categorical("focal", [0.0, 0.5, 1.0, 2.0])
    trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True)
    return _with(base, trial.params)


def _with(base: DenoiserRecipe, params: dict[str, Any]) -> DenoiserRecipe:
    settings = dict(params)
    shape = base.architecture
    architecture = Architecture(shape.family, settings.pop("width"), shape.stem, shape.levels)
    steps = max(base.steps * base.batch // settings["batch"], 1)
    looks = {"validate_every": max(steps // _LOOKS, 1), "checkpoint_every": max(steps // _LOOKS, 1)}
    return base.model_copy(update=settings | looks | {"architecture": architecture, "steps": steps})
