"""Gather the samples of all ranks, with gradient."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable


def _interleave(x: Tensor) -> Tensor:
    """Gather rows from R ranks: row i of rank r becomes row i * R + r.

    Samplers give images to ranks in turn, so this is the order on one process.
    """
    return torch.stack(all_gather(x.contiguous()), dim=1).flatten(0, 1)


class _GatherRows(torch.autograd.Function):
    # With R ranks, every rank computes the same loss L of the same rows x_r
    # and prompts p. On the whole batch of one process a parameter w gets
    #
    #     dL/dw = sum_r dL/dx_r dx_r/dw + dL/dp dp/dw,
    #
    # while DDP averages what each rank computed. Rank r knows dx_r/dw of its
    # own rows only, so the average divides the first sum by R; the factor R
    # here compensates. dL/dp dp/dw is the same on each rank and needs no
    # factor; scaling the whole loss by R would get one of the two wrong.
    #
    # The sum over ranks of dL/dx_r, which the backward of an all-gather
    # communicates, is R times the local one, since L is the same everywhere
    # (as are its weight and the scale of a gradient scaler). So backward
    # sends nothing, and cannot interleave with DDP's own reductions.

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return _interleave(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        world_size = get_world_size()
        return world_size * grad[get_rank() :: world_size]


def gather_samples(samples: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the samples of all ranks, in the order of one process.

    The loss of the result, and its gradients after DistributedDataParallel
    averages them over ranks, equal those of one process on the whole batch.
    All ranks must call this together and compute the same loss of the result.
    On one process it does nothing.

    Ranks may have different numbers of samples, or none: all are padded to
    the largest number, which the CPU reads; it is the only synchronization.

    Args:
        samples (Tensor): Shape (B, ...), of the same dtype and trailing shape
            on each rank.
        labels (Tensor): int64, shape (B, ); -1 for a sample that takes no
            part.

    Returns:
        tuple[Tensor, Tensor]: Samples and labels of R ranks, with R times the
        largest B rows, padded by zeros with the label -1. The gradient
        reaches the local samples.
    """
    if get_world_size() == 1:
        return samples, labels
    longest = labels.new_full((1,), len(labels))
    all_reduce(longest, 'max')
    missing = longest.item() - len(labels)
    padding = [0, 0] * (samples.ndim - 1) + [0, missing]
    return (
        _GatherRows.apply(F.pad(samples, padding)),
        _interleave(F.pad(labels, [0, missing], value=-1)),
    )
