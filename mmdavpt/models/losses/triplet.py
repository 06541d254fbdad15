"""The triplet metric (Table 7)."""

import torch
from torch import Tensor

from mmdavpt.registry import GUIDANCE_METRICS

from .masked import masked_pairs, mean_over
from .metric import Metric


def triplet_loss(
    similarity: Tensor, target: Tensor, guided: Tensor, margin: float = 0.1
) -> Tensor:
    r"""Pull a sample nearer to its prompt than to each other prompt.

    The mean of :math:`\max(0, s(x,p) - s(x,p_x) + \delta)` over all pairs of
    a sample and a guided prompt other than its own (eq. 3 as a hinge). A
    zero that keeps its graph without such a pair.

    Args:
        similarity (Tensor): :math:`s(x,p)`, shape (B, P).
        target (Tensor): Prompt that each sample's class maps to, or -1,
            int64, shape (B, ). A sample whose own prompt is not guided has
            no pair.
        guided (Tensor): Whether each prompt is guided, bool, shape (P, ).
        margin (float): :math:`\delta`, the margin. Defaults to 0.1.

    Returns:
        Tensor: The loss, a scalar in float32 or better.

    Raises:
        ValueError: If a shape does not fit.
    """
    s, positive, negative = masked_pairs(similarity, target, guided)
    pairs = negative & positive.any(1, keepdim=True)
    own = s.masked_fill(~positive, 0).sum(1, keepdim=True)
    hinge = (s - own + margin).relu()
    return mean_over(
        torch.where(pairs, hinge, torch.zeros_like(hinge)), pairs.sum()
    )


@GUIDANCE_METRICS.register_module()
class Triplet(Metric):
    """The triplet metric, see :func:`triplet_loss`.

    Args:
        margin (float): The margin. Defaults to 0.1.

    Raises:
        UsageError: If the margin is not finite.
        TypeError: If it is not a number.
    """

    loss = staticmethod(triplet_loss)

    def __init__(self, margin: float = 0.1) -> None:
        super().__init__(margin=margin)
