"""Regions of an image: the patches that belong to one class.

With ``labels='present'`` all classes of an image guide instead of one: each
region is a sample.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmdavpt.models.backbones import BackboneTokens

#: The part of a patch that its class must cover.
COVERAGE = 0.5


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
    patch_size: tuple[int, int],
    num_classes: int,
    excluded: Iterable[int] = (),
) -> Tensor:
    """Return the class of each patch from its pixels.

    A patch has the class of most of its pixels, the lowest of equally many,
    if that class covers at least :data:`COVERAGE` of them. If the size of the
    image is not a multiple of the patch size, the backbone pads it on the
    right and bottom; padding has no class.

    Args:
        pixel_labels (Tensor): int64, (B, H, W). Values outside [0, K), such as
            255, have no class.
        patch_size (tuple[int, int]): Height and width of a patch in pixels.
        num_classes (int): The number of classes ``K``.
        excluded (Iterable[int]): Classes without guidance, such as the
            background. Defaults to ().

    Returns:
        Tensor: int64, (B, N), in the order of the patches; -1 for none.
    """
    height, width = patch_size
    _, rows, columns = pixel_labels.shape
    down, right = -rows % height, -columns % width
    padded = F.pad(pixel_labels, (0, right, 0, down), value=-1)
    # (B, H, W) -> (B, h, p, w, p) -> (B, N, p * p)
    cells = padded.unflatten(2, (-1, width)).unflatten(1, (-1, height))
    cells = cells.transpose(2, 3).flatten(3).flatten(1, 2)
    # One bin more, for pixels without a class.
    classless = (cells < 0) | (cells >= num_classes)
    bins = torch.where(classless, num_classes, cells)
    shape = (*bins.shape[:2], num_classes + 1)
    counts = bins.new_zeros(shape, dtype=torch.int32)
    counts.scatter_add_(2, bins, torch.ones_like(bins, dtype=torch.int32))
    most, label = counts[..., :num_classes].max(dim=2)
    enough = most >= COVERAGE * height * width
    for k in excluded:
        enough &= label != k
    return torch.where(enough, label, -1)


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
    # The first row collects patches without a region.
    sums = x.new_zeros(len(regions.labels) + 1, x.shape[-1], dtype=dtype)
    row = regions.index.flatten() + 1
    sums = sums.index_add(0, row, x.flatten(0, 1).to(dtype))
    return sums[1:] / regions.sizes.unsqueeze(1)


def region_tokens(tokens: BackboneTokens, regions: Regions) -> BackboneTokens:
    """Turn the tokens of images into tokens of regions.

    Args:
        tokens (BackboneTokens): Of the images.
        regions (Regions): Of the same batch.

    Returns:
        BackboneTokens: The mean patch of each region in place of [CLS], with
        shape (M, C); and the guided tokens of the regions.
    """
    guided = {
        layer: _guided_tokens(named, regions)
        for layer, named in tokens.guided.items()
    }
    return BackboneTokens(region_means(tokens.patches, regions), guided)


def _guided_tokens(
    tokens: Mapping[str, Tensor], regions: Regions
) -> dict[str, Tensor]:
    """Return 'patch_*' (M, 1, C), 'cls_*' (M, C) and the prompts' tokens.

    The mean query (input) of a region's patches replaces that of [CLS].
    """
    result = {}
    for name, value in tokens.items():
        if name.startswith('prompt_'):
            result[name] = value
        elif name.startswith('patch_'):
            mean = region_means(value, regions)
            result[name] = mean.unsqueeze(1)
            if name in ('patch_query', 'patch_input'):
                result[name.replace('patch_', 'cls_')] = mean
    return result
