"""Tokens of samples, and their cosine similarity to prompts (eq. 3)."""

import torch
from torch import Tensor


def full_precision(x: Tensor) -> Tensor:
    """Return ``x`` in float32, or unchanged if it is float64."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def mean_token(x: Tensor) -> Tensor:
    """Return the mean over a sample's tokens, in float32 or better.

    Args:
        x (Tensor): Shape (B, N, C), or (B, C) if there is one token.

    Returns:
        Tensor: Shape (B, C).
    """
    if x.ndim == 2:
        return full_precision(x)
    # Summed in float32: bfloat16 keeps three digits of a mean.
    return x.mean(1, dtype=torch.promote_types(x.dtype, torch.float32))


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


def centered(x: Tensor, mask: Tensor) -> Tensor:
    """Subtract the mean of the rows that count from all rows.

    Args:
        x (Tensor): Shape (N, C).
        mask (Tensor): The rows that count, bool, shape (N, 1).

    Returns:
        Tensor: Shape (N, C), in float32 or better.
    """
    x = full_precision(x)
    total = torch.where(mask, x, torch.zeros_like(x)).sum(0)
    return x - total / mask.sum().clamp(min=1)


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
    """
    dtype = torch.promote_types(torch.result_type(x, prompts), torch.float32)
    with torch.autocast(device_type=x.device.type, enabled=False):
        prompts = unit_vectors(prompts.to(dtype)) * prompt_scale
        return unit_vectors(x.to(dtype)) @ prompts.t()
