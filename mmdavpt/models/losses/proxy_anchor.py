"""Similarity of tokens to prompts, and the Proxy-Anchor loss (eq. 4)."""

import torch
from torch import Tensor

from .masked import (
    check_pairs,
    full_precision,
    log_one_plus_sum_exp,
    mean_over,
    pair_masks,
)

POSITIVE_MEANS = ('positive', 'all')


def unit_vectors(x: Tensor, eps: float = 1e-12) -> Tensor:
    """Scale the last dimension to unit length.

    A vector no longer than ``eps`` has no direction: it becomes zero and gets
    no gradient. (Dividing by ``eps`` would give it one of the size 1/eps.)

    Args:
        x (Tensor): Shape (..., C).
        eps (float): Length up to which a vector counts as zero.
            Defaults to 1e-12.

    Returns:
        Tensor: Same shape as ``x``.
    """
    square = x.square().sum(-1, keepdim=True)
    nonzero = square > eps * eps
    scale = torch.where(nonzero, square, torch.ones_like(square)).rsqrt()
    return torch.where(nonzero, x * scale, torch.zeros_like(x))


def cosine_similarity_matrix(
    x: Tensor, prompts: Tensor, prompt_scale: float = 1.0
) -> Tensor:
    """Compute ``s(x, p)`` of eq. 4 for all pairs, in float32 or better.

    Autocast is switched off inside: with alpha = 32 the three digits of
    bfloat16 would decide the loss.

    Args:
        x (Tensor): Tokens, shape (B, C).
        prompts (Tensor): Prompts, shape (P, C).
        prompt_scale (float): Factor on the unit prompts. The released code
            uses 5 to 60. Defaults to 1.0.

    Returns:
        Tensor: Similarities, shape (B, P); float64 if an input is, else
        float32.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if x.ndim != 2 or prompts.ndim != 2 or x.size(1) != prompts.size(1):
        raise ValueError(
            'tokens and prompts should have the shapes (B, C) and (P, C), '
            f'but got {tuple(x.shape)} and {tuple(prompts.shape)}'
        )
    dtype = torch.promote_types(
        torch.promote_types(x.dtype, prompts.dtype), torch.float32
    )
    with torch.autocast(device_type=x.device.type, enabled=False):
        prompts = unit_vectors(prompts.to(dtype)) * prompt_scale
        return unit_vectors(x.to(dtype)) @ prompts.t()


def proxy_anchor_loss(
    similarity: Tensor,
    target: Tensor,
    guided: Tensor,
    alpha: float = 32.0,
    margin: float = 0.1,
    positive_mean: str = 'positive',
) -> Tensor:
    r"""Pull samples to their prompt and push the others away (eq. 4).

    .. math::
        \frac{1}{|P^+|} \sum_{p \in P^+} \log\Big(1 + \sum_{x \in X_p^+}
        e^{-\alpha (s(x,p) - \delta)}\Big) + \frac{1}{|P|} \sum_{p \in P}
        \log\Big(1 + \sum_{x \in X_p^-} e^{\alpha (s(x,p) + \delta)}\Big)

    :math:`P` are the guided prompts and :math:`P^+` those of them with a
    sample in the batch. A sample with target -1 is neither positive nor
    negative. Without a guided prompt, or a sample that takes part, the loss
    is a zero that keeps its graph.

    Args:
        similarity (Tensor): :math:`s(x,p)`, shape (B, P).
        target (Tensor): Prompt that each sample's class maps to, or -1,
            int64, shape (B, ). Values are not checked, since reading them
            would stall an accelerator.
        guided (Tensor): Whether each prompt is guided, bool, shape (P, ).
        alpha (float): :math:`\alpha`, the sharpness. Defaults to 32.0.
        margin (float): :math:`\delta`, the margin. Defaults to 0.1.
        positive_mean (str): What the positive sum is divided by. Defaults to
            'positive'.

            - 'positive': the number of prompts with a sample in the batch,
              as in the paper;
            - 'all': the number of guided prompts, as in the released code.

    Returns:
        Tensor: The loss, a scalar in float32 or better.

    Raises:
        ValueError: If a shape or ``positive_mean`` does not fit.
        TypeError: If a dtype does not fit.
    """
    check_pairs(similarity, target, guided)
    if positive_mean not in POSITIVE_MEANS:
        raise ValueError(
            f'positive_mean should be one of {POSITIVE_MEANS}, '
            f'but got {positive_mean!r}'
        )
    s = full_precision(similarity)
    positive, negative = pair_masks(target, guided)
    pull = log_one_plus_sum_exp(-alpha * (s - margin), positive, dim=0)
    push = log_one_plus_sum_exp(alpha * (s + margin), negative, dim=0)
    num_prompts = guided.sum()
    num_positive = (
        positive.any(0).sum() if positive_mean == 'positive' else num_prompts
    )
    return mean_over(pull, num_positive) + mean_over(push, num_prompts)
