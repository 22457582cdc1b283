"""A training repeats itself, goes on after a kill, and ends in weights with a card."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from friedel.core.errors import CorruptFileError, RecipeError  # noqa: E402
from friedel.crystal import load_phases  # noqa: E402
from friedel.nets.architecture import Architecture  # noqa: E402
from friedel.nets.cards import load_card, parse_card, verify_weights  # noqa: E402
from friedel.nets.inference import load_network, network_input  # noqa: E402
from friedel.nets.training import finish as finishing  # noqa: E402
from friedel.nets.training import generator, loop  # noqa: E402
from friedel.nets.training.generator import PatternRanges  # noqa: E402
from friedel.nets.training.losses import charbonnier, spot_loss  # noqa: E402
from friedel.nets.training.networks import Denoiser  # noqa: E402
from friedel.nets.training.recipe import (  # noqa: E402
    DenoiserRecipe,
    dump_training_recipe,
    load_training_recipe,
    parse_training_recipe,
)

TINY = DenoiserRecipe(
    architecture=Architecture("unet", 4, 2, 3), steps=4, batch=2, warm_up=2, validate_every=4, checkpoint_every=2,
    validation_patterns=1, max_zones=2, ranges=PatternRanges(shape=(48, 48)),
)  # fmt: skip


@pytest.fixture(scope="module")
def crystals():
    return load_phases(["au", "mgo"]).crystals, load_phases(["si"]).crystals


def _weights(network):
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def test_the_same_seed_gives_the_same_weights_and_another_one_others(crystals, tmp_path):
    runs = [loop.train(recipe, *crystals, tmp_path / name).network for name, recipe in
            (("a", TINY), ("b", TINY), ("c", TINY.model_copy(update={"seed": 1})))]  # fmt: skip
    first, again, other = (_weights(network) for network in runs)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_training_that_was_killed_goes_on_as_if_nothing_had_happened(crystals, tmp_path, monkeypatch):
    whole = _weights(loop.train(TINY, *crystals, tmp_path / "whole").network)
    real, steps = loop.generate, []

    def dies_at_the_fourth(*args, **kwargs):
        if kwargs.get("device") and args[3][0] == 1:
            steps.append(args[3])
            if len(steps) == 4:
                raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(loop, "generate", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        loop.train(TINY, *crystals, tmp_path / "killed")
    monkeypatch.setattr(loop, "generate", real)
    resumed = _weights(loop.train(TINY, *crystals, tmp_path / "killed").network)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    curves = [(tmp_path / name / "curve.csv").read_text().splitlines() for name in ("whole", "killed")]
    assert [line.rsplit(",", 1)[0].split(",")[0] for line in curves[0]] == [
        line.rsplit(",", 1)[0].split(",")[0] for line in curves[1]
    ]


def test_another_recipe_does_not_go_on_with_a_training(crystals, tmp_path):
    loop.train(TINY, *crystals, tmp_path)
    with pytest.raises(RecipeError, match="another recipe"):
        loop.train(TINY.model_copy(update={"learning_rate": 1e-3}), *crystals, tmp_path)


@pytest.mark.parametrize("family", ["unet", "rdunet", "nafnet"])
def test_a_few_steps_make_the_loss_smaller(family, crystals):
    torch.manual_seed(0)
    network = Denoiser(Architecture(family, 4, 2, 3))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    from friedel.nets.training.kinematics import build_bank

    batch = generator.generate(build_bank(crystals[0], max_zones=2), TINY.ranges, 4, (0,))
    clean, heat, weight = generator.targets(batch)
    z = generator.network_input(batch.counts, batch.told_centre_px)
    losses = []
    for _ in range(12):
        denoised, logits = network(z)
        loss = charbonnier(denoised, clean) + 10.0 * spot_loss(logits, heat, weight, 1.0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_an_untrained_network_gives_back_what_it_was_given():
    z = torch.rand((1, 2, 48, 64))
    denoised, logits = Denoiser(Architecture("rdunet", 4, 2, 3))(z)
    assert torch.equal(denoised, z[:, 0])
    assert float(logits.detach().max()) == pytest.approx(-4.0)


def test_the_spot_loss_is_least_where_the_map_is_the_expected_target():
    logits = torch.zeros((1, 1, 1), requires_grad=True)
    spot_loss(logits, torch.full((1, 1, 1), 0.5), torch.ones(1, 1, 1), 0.0).backward()
    assert float(logits.grad) == pytest.approx(0.0, abs=1e-7)
    ignored = spot_loss(torch.full((1, 2, 2), 5.0), torch.zeros(1, 2, 2), torch.zeros(1, 2, 2), 0.0)
    assert float(ignored) == 0.0


def test_recipes_are_strict_and_survive_writing(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(dump_training_recipe(TINY), encoding="utf-8")
    assert load_training_recipe(path) == TINY
    assert load_training_recipe(path).digest == TINY.digest
    for wrong in ({"steps": "many"}, {"stepps": 3}, {"architecture": {"width": 3}}, {"learning_rate": -1.0}):
        with pytest.raises(RecipeError, match=next(iter(wrong))):
            parse_training_recipe(wrong)


@pytest.fixture(scope="module")
def weights(crystals, tmp_path_factory):
    """A tiny network that was trained a little, exported with its card."""
    folder = tmp_path_factory.mktemp("weights")
    patch = pytest.MonkeyPatch()
    patch.setattr(finishing, "_VALIDATION", (2, 4))
    patch.setattr(finishing, "_TEST", (2, 4))
    trained = loop.train(TINY.model_copy(update={"learning_rate": 0.05}), *crystals, folder)
    parts = {"train": crystals[0], "validation": crystals[1], "test": load_phases(["lif"]).crystals}
    card = finishing.finish(TINY, trained, parts, folder)
    patch.undo()
    return card, trained.network


def test_exported_weights_answer_as_torch_does(weights):
    path, torch_network = weights
    network = load_network(str(path.with_suffix(".onnx")))
    counts = np.random.default_rng(0).poisson(2.0, (2, 50, 61)).astype(np.float32)
    centres = np.array([[24.0, 30.0], [20.2, 31.7]])
    denoised, probability = network.run(counts, centres)
    assert denoised.shape == probability.shape == counts.shape
    with torch.no_grad():
        z, logits = torch_network(
            torch.as_tensor(network_input(counts[1], centres[1], network.card.preprocessing.stride))
        )
    np.testing.assert_allclose(probability[1], torch.sigmoid(logits)[0, :50, :61].numpy(), atol=5e-3)
    seen = generator.network_input(torch.as_tensor(counts), torch.as_tensor(centres, dtype=torch.float32))
    np.testing.assert_allclose(network_input(counts[1], centres[1], 8)[0, :, :50, :61], seen[1].numpy(), atol=1e-5)
    assert z.shape[-2:] == (56, 64)


def test_the_card_says_what_the_network_is(weights):
    path, torch_network = weights
    card = verify_weights(path)
    assert card.architecture == TINY.architecture
    assert card.parameters == sum(p.numel() for p in torch_network.parameters())
    assert card.training.recipe_sha256 == TINY.digest
    assert {metric.dose_electrons for metric in card.metrics} == {30, 100, 300, 1000, 3000, 10000}


def test_weights_that_were_tampered_with_are_refused(weights, tmp_path):
    path, _ = weights
    for source in (path, path.with_suffix(".onnx")):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    data = bytearray((tmp_path / path.with_suffix(".onnx").name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / path.with_suffix(".onnx").name).write_bytes(data)
    with pytest.raises(CorruptFileError, match="sha256"):
        load_network(str(tmp_path / path.with_suffix(".onnx").name))


def test_a_card_with_a_wrong_entry_is_refused_by_name(weights):
    path, _ = weights
    values = load_card(path).model_dump(mode="json")
    falling = values["points"][::-1]
    assert len(falling) > 1
    for name, value in (
        ("points", []), ("points", falling), ("sha256", "abc"), ("preprocessing", {"transform": "log"})
    ):  # fmt: skip
        with pytest.raises(CorruptFileError, match=name):
            parse_card(values | {name: value}, path)
