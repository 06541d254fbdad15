"""Masked sums and input checks that the guidance metrics share.

Everything here is free of data-dependent shapes and of Python values read
from tensors, so that no metric makes the CPU wait for the GPU.
"""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """Return ``x`` in float32, or unchanged if it is float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def masked_pairs(
    similarity: Tensor, target: Tensor, guided: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Check the shapes of a metric's inputs; return its pairs.

    Only guided prompts make pairs, and only samples that take part, that is,
    whose target is not -1.

    Args:
        similarity (Tensor): Of samples and prompts, shape (B, P).
        target (Tensor): Prompt of each sample or -1, shape (B, ).
        guided (Tensor): Whether each prompt is guided, shape (P, ).

    Returns:
        tuple[Tensor, Tensor, Tensor]: The similarities in float32 or better;
        positive and negative pairs, bool; (B, P) each.

    Raises:
        ValueError: If a shape does not fit.
    """
    if target.shape + guided.shape != similarity.shape or target.ndim != 1:
        raise ValueError(
            'similarity, target and guided should have the shapes (B, P), '
            f'(B, ) and (P, ), but got {tuple(similarity.shape)}, '
            f'{tuple(target.shape)} and {tuple(guided.shape)}'
        )
    index = torch.arange(guided.numel(), device=target.device)
    own = target.unsqueeze(1) == index
    takes_part = (target >= 0).unsqueeze(1)
    positive, negative = own & guided, ~own & guided & takes_part
    return full_precision(similarity), positive, negative


def log_one_plus_sum_exp(logits: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Compute ``log(1 + sum(exp(logits)))`` over the masked-in entries.

    The 1 is an appended zero logit: the maximum is then never below 0, so
    that nothing overflows, an empty sum gives exactly 0, and the gradient of
    a masked-out entry is exactly 0 whatever its value.

    Args:
        logits (Tensor): Shape (B, P).
        mask (Tensor): The entries that count, bool, shape (B, P).
        dim (int): The dimension summed over.

    Returns:
        Tensor: ``logits`` without the dimension ``dim``.
    """
    kept = logits.masked_fill(~mask, float('-inf'))
    shape = list(kept.shape)
    shape[dim] = 1
    return torch.cat([kept, kept.new_zeros(shape)], dim).logsumexp(dim)


def mean_over(terms: Tensor, count: Tensor) -> Tensor:
    """Divide the sum of ``terms`` by ``count``, or by 1 if that is 0."""
    return terms.sum() / count.clamp(min=1)
