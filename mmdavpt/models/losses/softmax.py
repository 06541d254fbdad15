"""The softmax metric: cross-entropy over the guided prompts."""

import torch
from torch import Tensor

from mmdavpt.registry import GUIDANCE_METRICS

from .metric import Metric, log_one_plus_sum_exp, masked_pairs, mean_over


@GUIDANCE_METRICS.register_module()
class Softmax(Metric):
    r"""Classify each sample by its similarities to the guided prompts.

    .. math::
        -\frac{1}{|X|} \sum_{x \in X} \log
        \frac{e^{s(x,p_x) / \tau}}{\sum_{p \in P} e^{s(x,p) / \tau}}

    :math:`X` are the samples that take part, :math:`p_x` the prompt of a
    sample's class and :math:`P` the guided prompts.

    Args:
        temperature (float): :math:`\tau`. Defaults to 0.1.

    Raises:
        UsageError: If it is out of range.
        TypeError: If it is not a number.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__(temperature=temperature)

    def forward(
        self, similarity: Tensor, target: Tensor, guided: Tensor
    ) -> Tensor:
        """Return the loss of a batch, see :class:`.Metric`."""
        s, positive, negative = masked_pairs(similarity, target, guided)
        own = torch.where(positive, s, 0.0).sum(1, keepdim=True)
        logits = (s - own) / self.temperature
        losses = log_one_plus_sum_exp(logits, negative, dim=1)
        return mean_over(losses, (target >= 0).sum())
