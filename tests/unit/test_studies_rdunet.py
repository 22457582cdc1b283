"""Patches that the residual dense U-Net of the studies is trained on."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "studies"))

from rdunet_training import PATCH_PX, patches, to_scale


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
