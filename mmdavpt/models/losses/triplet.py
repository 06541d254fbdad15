"""The triplet metric (Table 7)."""

import torch
from torch import Tensor

from mmdavpt.registry import GUIDANCE_METRICS

from .metric import Metric, masked_pairs, mean_over


@GUIDANCE_METRICS.register_module()
class Triplet(Metric):
    r"""Pull a sample nearer to its prompt than to each other prompt.

    The mean of :math:`\max(0, s(x,p) - s(x,p_x) + \delta)` over all pairs of
    a sample and a guided prompt other than its own (eq. 3 as a hinge). A
    sample whose own prompt is not guided has no pair. Without a pair, the
    loss is a zero that keeps its graph.

    Args:
        margin (float): :math:`\delta`, the margin. Defaults to 0.1.

    Raises:
        UsageError: If the margin is not finite.
        TypeError: If it is not a number.
    """

    def __init__(self, margin: float = 0.1) -> None:
        super().__init__(margin=margin)

    def forward(
        self, similarity: Tensor, target: Tensor, guided: Tensor
    ) -> Tensor:
        """Return the loss of a batch, see :class:`.Metric`."""
        s, positive, negative = masked_pairs(similarity, target, guided)
        pairs = negative & positive.any(1, keepdim=True)
        own = s.masked_fill(~positive, 0).sum(1, keepdim=True)
        hinge = (s - own + self.margin).relu()
        return mean_over(torch.where(pairs, hinge, 0.0), pairs.sum())
