"""Resize position embeddings to another image size or set of tokens."""

from math import isqrt

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor


def fit_position_embedding(
    pos_embed: Tensor, num_extra_tokens: int, grid: tuple[int, int]
) -> Tensor:
    """Return position embeddings for a backbone's tokens and patch grid.

    timm resizes the patches. The position of [CLS] is dropped if the backbone
    has no [CLS], and is zero if the checkpoint has no position for it (timm's
    ``no_embed_class``).

    Args:
        pos_embed (Tensor): Shape (1, [1+]h*w, C), from a square grid.
        num_extra_tokens (int): 1 if the backbone has [CLS], else 0.
        grid (tuple[int, int]): Rows and columns of the backbone's patches.

    Returns:
        Tensor: Shape (1, num_extra_tokens + rows * columns, C); unchanged if
        the patches form no square.
    """
    count, patches = pos_embed.shape[1], grid[0] * grid[1]
    if count == num_extra_tokens + patches and isqrt(patches) ** 2 != patches:
        return pos_embed  # the same grid, which is not a square
    prefix = 0 if isqrt(count) ** 2 == count else 1
    if isqrt(count - prefix) ** 2 != count - prefix:
        return pos_embed
    resized = resample_abs_pos_embed(
        pos_embed[:, prefix:], list(grid), num_prefix_tokens=0
    )
    cls = pos_embed[:, :1] if prefix else torch.zeros_like(resized[:, :1])
    return torch.cat((cls[:, :num_extra_tokens], resized), dim=1)
