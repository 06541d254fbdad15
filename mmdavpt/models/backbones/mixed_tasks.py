"""Images of several tasks in one pass through shared frozen layers."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .forward_pass import frozen_prefix


class Features(NamedTuple):
    """Features that are known, in place of the images they come from.

    A model whose backbone is a ``PromptedBackbone`` takes them as its input.

    Attributes:
        outs (tuple[Tensor, ...]): What the backbone returns.
        shape (tuple[int, ...]): The shape of the images, (B, 3, H, W).
    """

    outs: tuple[Tensor, ...]
    shape: tuple[int, ...]


def mixed_features(
    vits: Sequence[nn.Module], images: Tensor, rows: Sequence[Sequence[int]]
) -> list[Features]:
    """Return the features of images for several backbones, in one pass.

    The prefix of a layer has shape (R, P, 2C): each of R rows has the keys
    and values of its own task. Layers below the first prompts run once for an
    image, whatever its number of tasks. The results are those of each
    backbone alone, up to how matrix products depend on the batch size.

    Args:
        vits (Sequence[nn.Module]): A ``PromptedBackbone`` for each task. They
            differ in the values of prompts alone, which all are prefixes.
        images (Tensor): With shape (B, 3, H, W).
        rows (Sequence[Sequence[int]]): The images of each task.

    Returns:
        list[Features]: For each task, the features of its images in
        their order.
    """
    pairs = [(image, task) for task, own in enumerate(rows) for image in own]
    order, tasks = torch.tensor(pairs, device=images.device).T
    with vits[0].precision():
        kept = [vit.prompt_cache.get_all(vit, {}) for vit in vits]
    prefixes = {i: torch.stack([k[i] for k in kept])[tasks] for i in kept[0]}
    used, inverse = order.unique(return_inverse=True)
    # Below the first prompts, one row of each image serves all its tasks.
    shared = min([*prefixes, *vits[0].out_indices], default=0)
    tokens = frozen_prefix(vits[0], images[used], shared if prefixes else 0)
    if prefixes:
        tokens = tokens._replace(x=tokens.x[inverse], projected=prefixes)
    outs = vits[0](tokens)
    outs = outs if prefixes else [out[inverse] for out in outs]
    sizes = [len(own) for own in rows]
    parts = zip(*(out.split(sizes) for out in outs), strict=True)
    return [Features(x, (len(x[0]), *images.shape[1:])) for x in parts]
