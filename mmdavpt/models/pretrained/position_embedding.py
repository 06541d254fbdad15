"""Position embeddings for another image size or another set of tokens."""

from math import isqrt

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdavpt.errors import UsageError


def fit_position_embedding(
    pos_embed: Tensor, num_extra_tokens: int, grid: tuple[int, int]
) -> Tensor:
    """Return position embeddings for a backbone's tokens and patch grid.

    Patches are resized bicubically with antialiasing, as timm does. That of
    [CLS] is left out where the backbone has none, and zero where the
    checkpoint has none (timm's ``no_embed_class``).

    Args:
        pos_embed (Tensor): With shape (1, [1+]h*w, C), from a square grid.
        num_extra_tokens (int): 1 if the backbone has [CLS], else 0.
        grid (tuple[int, int]): Rows and columns of the backbone's patches.

    Returns:
        Tensor: With shape (1, num_extra_tokens + rows * columns, C).

    Raises:
        UsageError: If the patches make no square.
    """
    count, channels = pos_embed.shape[1:]
    if count == num_extra_tokens + grid[0] * grid[1]:
        extra = num_extra_tokens
        side = isqrt(count - extra)
        if grid == (side, side) or side * side != count - extra:
            return pos_embed  # the same grid, which need not be a square
    elif isqrt(count) ** 2 == count:
        extra, side = 0, isqrt(count)
    elif isqrt(count - 1) ** 2 == count - 1:
        extra, side = 1, isqrt(count - 1)
    else:
        raise UsageError(
            f'the checkpoint has {count} position embeddings, which should be '
            'a square of patches, with or without one for [CLS], to be '
            f'resized to {grid[0]}x{grid[1]} patches; set img_size and '
            'patch_size of the backbone to those of the checkpoint'
        )
    # (1, h*w, C) -> (1, C, h, w) and back
    patches = pos_embed[:, extra:].float()
    patches = patches.reshape(1, side, side, channels).permute(0, 3, 1, 2)
    if grid != (side, side):
        patches = F.interpolate(
            patches,
            size=grid,
            mode='bicubic',
            align_corners=False,
            antialias=True,
        )
    patches = patches.flatten(2).transpose(1, 2).to(pos_embed.dtype)
    if not num_extra_tokens:
        return patches
    cls = pos_embed[:, :1] if extra else pos_embed.new_zeros(1, 1, channels)
    return torch.cat((cls, patches), dim=1)
