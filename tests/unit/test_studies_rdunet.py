"""The residual dense U-Net of the studies: patches that it is trained on, its training, and what is said of it."""

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from rdunet import DOSES, Result, sign_of, standing, verdict  # noqa: E402
from rdunet_training import PATCH_PX, denoise_electrons, patches, recipe_of, to_scale, train_on_pairs  # noqa: E402

from friedel.nets.scoring import Score  # noqa: E402
from friedel.nets.training.networks import Denoiser  # noqa: E402


class Pairs:
    """Seven pairs whose clean pattern is twice the noisy one, so that it can be told where a patch is from."""

    def __len__(self):
        return 7

    def electrons(self, i):
        noisy = np.random.default_rng(i).uniform(0, 40, (96, 128)).astype(np.float32)
        noisy[0, 0] = 1000 * (i + 1)
        return noisy, 2 * noisy


def test_both_pictures_of_a_pair_are_cut_turned_and_flipped_alike():
    noisy, clean = patches(Pairs(), "picture", 0, 14, seed=0)
    assert noisy.shape == clean.shape == (14, PATCH_PX, PATCH_PX)
    np.testing.assert_allclose(noisy, clean, rtol=1e-6)  # twice the counts is the same picture
    assert len({p.tobytes() for p in noisy}) == 14


def test_an_epoch_shows_every_pair_once_and_a_step_is_the_same_again():
    class Named(Pairs):
        def electrons(self, i):
            return (np.full((64, 64), i + 1.0, dtype=np.float32),) * 2

    first = patches(Named(), "stabilised", 0, 7, seed=3)[0]
    assert len(np.unique(first[:, 0, 0])) == 7
    np.testing.assert_array_equal(first, patches(Named(), "stabilised", 0, 7, seed=3)[0])
    second = patches(Named(), "stabilised", 1, 7, seed=3)[0]
    assert not np.array_equal(first[:, 0, 0], second[:, 0, 0])


def test_a_picture_reaches_from_0_to_1_and_stabilised_counts_keep_their_dose():
    counts = np.random.default_rng(0).poisson(3.0, (16, 16)).astype(np.float32)
    assert to_scale(counts, "picture").max() == 1.0
    np.testing.assert_allclose(to_scale(10 * counts, "picture"), to_scale(counts, "picture"), rtol=1e-6)
    assert to_scale(4 * counts, "stabilised").max() > 1.8 * to_scale(counts, "stabilised").max()


def test_an_untrained_network_leaves_a_pattern_as_it_is():
    counts = np.random.default_rng(0).poisson(3.0, (32, 32)).astype(np.float32)
    for scale in ("stabilised", "picture"):
        untrained = Denoiser(recipe_of(scale, 10).architecture).eval()
        np.testing.assert_allclose(denoise_electrons(untrained, counts, scale), counts, atol=1e-4)


def test_training_learns_and_an_interrupted_one_ends_as_an_uninterrupted_one(tmp_path):
    class Stored(Pairs):
        folder = tmp_path

    class StoppedError(Exception):
        pass

    def stop(step, steps, text):
        raise StoppedError

    (tmp_path / "dataset.json").write_text("{}")
    recipe = recipe_of("stabilised", 2).model_copy(update={"checkpoint_every": 1, "warm_up": 1})
    whole, _ = train_on_pairs(recipe, Stored(), "stabilised", tmp_path / "whole")
    with pytest.raises(StoppedError):
        train_on_pairs(recipe, Stored(), "stabilised", tmp_path / "stopped", stop)
    resumed, _ = train_on_pairs(recipe, Stored(), "stabilised", tmp_path / "stopped")
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    noisy, clean = Stored().electrons(0)
    kept = np.abs(to_scale(noisy, "stabilised") - to_scale(clean, "stabilised")).mean()
    left = to_scale(denoise_electrons(whole, noisy, "stabilised"), "stabilised") - to_scale(clean, "stabilised")
    assert np.abs(left).mean() < kept


def scores(hits, n=20):
    """Scores of patterns with ten spots each, some found more and some less."""
    return [Score(hits=hits + i % 3, missed=10 - hits - i % 3) for i in range(n)]


def test_a_difference_counts_only_where_it_is_large_beside_its_error():
    assert sign_of(scores(7), scores(4)) == 1
    assert sign_of(scores(4), scores(7)) == -1
    assert sign_of(scores(5), scores(5)) == 0
    lucky = [*scores(5)[:-1], Score(hits=9, missed=1)]
    assert sign_of(lucky, scores(5)) == 0


def test_the_verdict_says_at_which_doses_it_is_above_and_below():
    def row(*hits):
        return {dose: Result(scores(h), (20.0 + h, 0.9)) for dose, h in zip(DOSES, hits, strict=True)}

    found = {"none": row(2, 3, 4, 8), "RDUNet": row(2, 5, 6, 5), "friedel's denoised pattern": row(6, 6, 6, 6)}
    assert (
        standing(found, "none", "it")
        == "above it at 300, 1000 and level with it at 100 and below it at 10000 electrons"
    )
    said = verdict(found, 12.0)
    assert said.startswith("Open: one training of 12 core-minutes")
    assert "24.0, 26.0 and 26.0 dB" in said
