"""What a network is trained to make small."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def charbonnier(found: Tensor, clean: Tensor) -> Tensor:
    """Mean of sqrt(1 + d^2) - 1, d in standard deviations of the counts: square near 0, linear far off."""
    return (torch.sqrt(1.0 + (found - clean).square()) - 1.0).mean()


def spot_loss(logits: Tensor, heat: Tensor, weight: Tensor, focal: float) -> Tensor:
    """Weighted cross entropy of the spot map, times |target - probability|^focal.

    The quality focal loss (Li et al., NeurIPS 2020, eq. 3); with ``focal`` 0 the map that makes it smallest is the
    expected target, so that heights are probabilities.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, heat, reduction="none")
    if focal > 0:
        entropy = entropy * (heat - torch.sigmoid(logits)).abs() ** focal
    return (weight * entropy).mean()


def dice_loss(logits: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """One less the Dice coefficient of probabilities and mask over all weighted pixels (Milletari et al. 2016, eq. 1).

    One pixel is added above and below, so that nothing found where nothing is has no loss.
    """
    probability, truth = torch.sigmoid(logits) * weight, mask * weight
    overlap = 2.0 * (probability * truth).sum() + 1.0
    return 1.0 - overlap / (probability.square().sum() + truth.sum() + 1.0)
