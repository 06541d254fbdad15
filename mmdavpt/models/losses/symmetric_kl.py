"""Symmetric KL divergence of two predictions."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .similarity import full_precision


def symmetric_kl(first: Tensor, second: Tensor) -> Tensor:
    r"""Return the symmetric KL divergence of two predictions.

    .. math::
        \frac{1}{2} \left( \mathrm{KL}(p \,\|\, q) +
        \mathrm{KL}(q \,\|\, p) \right)

    It is the mean over images and pixels. As in the released code of MoSA
    (Theia-4869/MoSA, src/solver/losses.py), each term trains the second
    distribution only, so the gradients of the logits are :math:`(p - q) / 2`
    and :math:`(q - p) / 2`.

    Args:
        first (Tensor): Logits of :math:`p`, (B, K) or (B, K, H, W). With one
            class they are those of a sigmoid.
        second (Tensor): Logits of :math:`q`, with the same shape.

    Returns:
        Tensor: A scalar, in float32 or better.
    """
    if first.shape[1] == 1:
        zero = torch.zeros_like(first)
        first, second = (torch.cat((x, zero), 1) for x in (first, second))
    p, q = (full_precision(x).log_softmax(dim=1) for x in (first, second))
    both = sum(
        F.kl_div(trained, target.detach(), reduction='none', log_target=True)
        for trained, target in ((p, q), (q, p))
    )
    return both.sum(dim=1).mean() / 2
