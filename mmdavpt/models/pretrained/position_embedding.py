"""Resize position embeddings to another image size or set of tokens."""

from math import isqrt

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from mmdavpt.errors import UsageError


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
        Tensor: Shape (1, num_extra_tokens + rows * columns, C).

    Raises:
        UsageError: If the patches form no square.
    """
    count, channels = pos_embed.shape[1:]
    if count == num_extra_tokens + grid[0] * grid[1]:
        extra = num_extra_tokens
        if isqrt(count - extra) ** 2 != count - extra:
            return pos_embed  # the same grid, which is not a square
    elif isqrt(count) ** 2 == count:
        extra = 0
    elif isqrt(count - 1) ** 2 == count - 1:
        extra = 1
    else:
        raise UsageError(
            f'the checkpoint has {count} position embeddings, which should be '
            'a square of patches, with or without [CLS], to be resized to '
            f'{grid[0]}x{grid[1]} patches; set img_size and patch_size of the '
            'backbone to those of the checkpoint'
        )
    if extra > num_extra_tokens:
        pos_embed = pos_embed[:, 1:]
    elif extra < num_extra_tokens:
        cls = pos_embed.new_zeros(1, 1, channels)
        pos_embed = torch.cat((cls, pos_embed), dim=1)
    return resample_abs_pos_embed(
        pos_embed, list(grid), num_prefix_tokens=num_extra_tokens
    )
