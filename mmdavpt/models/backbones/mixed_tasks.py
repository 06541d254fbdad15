"""Images of several tasks in one pass through shared frozen layers."""

from collections.abc import Sequence
from unittest.mock import patch

import torch
from torch import Tensor, nn


def mixed_features(
    vits: Sequence[nn.Module], images: Tensor, rows: Sequence[Sequence[int]]
) -> list[tuple[Tensor, ...]]:
    """Return the features of images for several backbones, in one pass.

    The prefix of a layer has shape (R, P, 2C): each of R rows has the keys
    and values of its own task. Without prompts, each image runs once for all
    tasks. The results are those of each backbone alone, up to how matrix
    products depend on the batch size.

    Args:
        vits (Sequence[nn.Module]): A ``PromptedBackbone`` for each task. They
            differ in the values of prompts alone, which all are prefixes.
        images (Tensor): With shape (B, 3, H, W).
        rows (Sequence[Sequence[int]]): The images of each task.

    Returns:
        list[tuple[Tensor, ...]]: For each task, the features of its images in
        their order.
    """
    pairs = [(image, task) for task, own in enumerate(rows) for image in own]
    order, tasks = torch.tensor(pairs, device=images.device).T
    with vits[0].precision():
        kept = [vit.prompt_cache.get_all(vit, {}) for vit in vits]
    prefixes = {i: torch.stack([k[i] for k in kept])[tasks] for i in kept[0]}
    used, inverse = order.unique(return_inverse=True)
    with patch.object(vits[0].prompt_cache, 'get', lambda *_: prefixes):
        outs = vits[0](images[order if prefixes else used])
    outs = outs if prefixes else [out[inverse] for out in outs]
    parts = [out.split([len(own) for own in rows]) for out in outs]
    return [*zip(*parts, strict=True)]
