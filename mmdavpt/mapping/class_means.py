"""Running sums of class features, and class representations."""

import torch
from torch import Tensor


@torch.no_grad()
def accumulate(
    sums: Tensor, counts: Tensor, features: Tensor, labels: Tensor
) -> None:
    """Add a batch of features to the sums of their classes, in place.

    Does not read values, so the CPU never waits for the GPU.

    Args:
        sums (Tensor): Sum of features per class, float32 or float64,
            shape (K, C).
        counts (Tensor): Number of samples per class, int64, shape (K, ).
        features (Tensor): Class features, any float dtype, shape (B, C).
        labels (Tensor): Class of each sample, or -1 for a sample without,
            int64, shape (B, ). Features of the latter are not read.

    Raises:
        TypeError: If the sums are half precision: they would stop growing
            within one epoch.
    """
    if sums.dtype not in (torch.float32, torch.float64):
        raise TypeError(
            'sums of class features should be float32 or float64, '
            f'but got {sums.dtype}'
        )
    labelled = labels >= 0
    index = labels.clamp(min=0)
    features = features.to(sums.dtype)
    features = torch.where(labelled.unsqueeze(1), features, 0)
    sums.index_add_(0, index, features)
    counts.index_add_(0, index, labelled.to(counts.dtype))


@torch.no_grad()
def class_means(
    sums: Tensor, counts: Tensor, previous: Tensor, seen: Tensor
) -> tuple[Tensor, Tensor]:
    """Turn sums into class representations (section 3.4).

    A class without a sample since the last re-clustering keeps its
    representation.

    Args:
        sums (Tensor): Sum of features per class, shape (K, C).
        counts (Tensor): Number of samples per class, int64, shape (K, ).
        previous (Tensor): Last representations, shape (K, C).
        seen (Tensor): Whether a class was ever seen before, bool,
            shape (K, ).

    Returns:
        tuple[Tensor, Tensor]: New representations, shape (K, C), and whether
        each class has been seen by now, bool, shape (K, ).
    """
    fresh = counts > 0
    means = sums / counts.clamp(min=1).unsqueeze(1)
    return torch.where(fresh.unsqueeze(1), means, previous), seen | fresh
