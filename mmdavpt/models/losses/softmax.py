"""The softmax metric: cross-entropy over the guided prompts."""

import torch
from torch import Tensor

from mmdavpt.models.option_checks import check_number
from mmdavpt.registry import GUIDANCE_METRICS

from .masked import log_one_plus_sum_exp, masked_pairs, mean_over
from .metric import Metric


def softmax_loss(
    similarity: Tensor,
    target: Tensor,
    guided: Tensor,
    temperature: float = 0.1,
) -> Tensor:
    r"""Classify each sample by its similarities to the guided prompts.

    .. math::
        -\frac{1}{|X|} \sum_{x \in X} \log
        \frac{e^{s(x,p_x) / \tau}}{\sum_{p \in P} e^{s(x,p) / \tau}}

    :math:`X` are the samples that take part, :math:`p_x` the prompt of a
    sample's class and :math:`P` the guided prompts.

    Args:
        similarity (Tensor): :math:`s(x,p)`, shape (B, P).
        target (Tensor): Prompt that each sample's class maps to, or -1,
            int64, shape (B, ).
        guided (Tensor): Whether each prompt is guided, bool, shape (P, ).
        temperature (float): :math:`\tau`. Defaults to 0.1.

    Returns:
        Tensor: The loss, a scalar in float32 or better.

    Raises:
        ValueError: If a shape does not fit.
    """
    s, positive, negative = masked_pairs(similarity, target, guided)
    own = torch.where(positive, s, 0.0).sum(1, keepdim=True)
    losses = log_one_plus_sum_exp((s - own) / temperature, negative, dim=1)
    return mean_over(losses, (target >= 0).sum())


@GUIDANCE_METRICS.register_module()
class Softmax(Metric):
    """The softmax metric, see :func:`softmax_loss`.

    Args:
        temperature (float): The temperature. Defaults to 0.1.

    Raises:
        UsageError: If it is out of range.
        TypeError: If it is not a number.
    """

    loss = staticmethod(softmax_loss)

    def __init__(self, temperature: float = 0.1) -> None:
        check_number('temperature of Softmax', temperature, positive=True)
        super().__init__(temperature=temperature)
