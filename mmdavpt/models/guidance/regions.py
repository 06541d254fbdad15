"""Regions of an image: the patches that belong to one class.

Guidance by all classes of an image instead of one of them: each class that is
present is a sample, and its patches are what the sample is made of.
"""

from typing import Dict, Iterable, Mapping, NamedTuple, Tuple

import torch
from torch import Tensor


class Regions(NamedTuple):
    """The regions of a batch.

    Attributes:
        index (Tensor): Region of each patch, int64, (B, N); -1 for none.
        labels (Tensor): Class of each region, int64, (M, ).
        sizes (Tensor): Patches of each region, int64, (M, ).
    """

    index: Tensor
    labels: Tensor
    sizes: Tensor


def patch_labels(
    pixel_labels: Tensor,
    patch_size: Tuple[int, int],
    num_classes: int,
    excluded: Iterable[int] = (),
    min_coverage: float = 0.5,
) -> Tensor:
    """Return the class of each patch, from the pixels that it covers.

    A patch has the class of most of its pixels, the lowest of equally many,
    if that class covers at least ``min_coverage`` of them. Where the image is
    no multiple of the patch, the backbone pads it on the right and below;
    pixels that are not there cover nothing.

    Args:
        pixel_labels (Tensor): int64, (B, H, W). Values that are no class,
            such as 255, count as none.
        patch_size (Tuple[int, int]): Height and width of a patch in pixels.
        num_classes (int): The number of classes ``K``.
        excluded (Iterable[int]): Classes without guidance, such as the
            background. Defaults to ().
        min_coverage (float): In (0, 1]. Defaults to 0.5.

    Returns:
        Tensor: int64, (B, N), in the order of the patches; -1 for none.
    """
    height, width = patch_size
    down, right = (
        -size % step
        for size, step in zip(pixel_labels.shape[1:], patch_size, strict=True)
    )
    padded = torch.nn.functional.pad(
        pixel_labels, (0, right, 0, down), value=-1
    )
    # (B, H, W) -> (B, h, p, w, p) -> (B, N, p * p)
    cells = padded.unflatten(2, (-1, width)).unflatten(1, (-1, height))
    cells = cells.transpose(2, 3).flatten(3).flatten(1, 2)
    # One bin more, for what is no class.
    classless = (cells < 0) | (cells >= num_classes)
    bins = torch.where(classless, num_classes, cells)
    counts = torch.zeros(
        *bins.shape[:2], num_classes + 1, dtype=torch.int32, device=bins.device
    )
    counts.scatter_add_(2, bins, torch.ones_like(bins, dtype=torch.int32))
    most, label = counts[..., :num_classes].max(dim=2)
    enough = most >= min_coverage * height * width
    for k in excluded:
        enough &= label != k
    return torch.where(enough & (most > 0), label, -1)


def find_regions(labels: Tensor) -> Regions:
    """Group the patches of each image by class.

    Args:
        labels (Tensor): Class of each patch, int64, (B, N); -1 for none.

    Returns:
        Regions: By image, then by class.
    """
    image = torch.arange(len(labels), device=labels.device).unsqueeze(1)
    span = labels.max().clamp(min=0) + 1 if labels.numel() else 1
    key = torch.where(labels >= 0, image * span + labels, -1)
    found, index, sizes = torch.unique(
        key, return_inverse=True, return_counts=True
    )
    none = int(found.numel() > 0 and found[0] < 0)
    return Regions(index - none, found[none:] % span, sizes[none:])


def region_means(x: Tensor, regions: Regions) -> Tensor:
    """Return the mean of each region's patches, in float32 or better.

    Args:
        x (Tensor): Patches, (B, N, C).
        regions (Regions): Of the same batch.

    Returns:
        Tensor: With shape (M, C).
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    # The first row takes what belongs to no region.
    sums = x.new_zeros(len(regions.labels) + 1, x.shape[-1], dtype=dtype)
    sums = sums.index_add(
        0, regions.index.flatten() + 1, x.flatten(0, 1).to(dtype)
    )
    return sums[1:] / regions.sizes.unsqueeze(1)


def region_tokens(
    tokens: Mapping[str, Tensor], regions: Regions
) -> Dict[str, Tensor]:
    """Turn the tokens of images into tokens of regions.

    A region stands in for an image: its patches are its visual tokens, and
    the mean query (input) of its patches takes the place of that of [CLS].

    Args:
        tokens (Mapping[str, Tensor]): What a guided layer handed out;
            'patch_query' or 'patch_input' for 'cls_query' or 'cls_input'.
        regions (Regions): Of the same batch.

    Returns:
        Dict[str, Tensor]: 'patch_*' with shape (M, 1, C), 'cls_*' with shape
        (M, C), and the prompts' tokens as they were.
    """
    means = {
        name: region_means(value, regions)
        for name, value in tokens.items()
        if name.startswith('patch_')
    }
    made = {
        name: value
        for name, value in tokens.items()
        if name.startswith('prompt_')
    }
    made.update({name: mean.unsqueeze(1) for name, mean in means.items()})
    for kind in ('query', 'input'):
        if f'patch_{kind}' in means:
            made[f'cls_{kind}'] = means[f'patch_{kind}']
    return made
