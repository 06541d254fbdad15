"""Samples of all ranks, with gradient: one batch as of one process."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, all_reduce, get_rank, get_world_size
from torch import Tensor
from torch.autograd.function import once_differentiable


def _interleave(x: Tensor) -> Tensor:
    """Gather rows from R ranks: row i of rank r becomes row i * R + r.

    The samplers deal out images in turn, so this is the order of one process.
    """
    return torch.stack(all_gather(x.contiguous()), dim=1).flatten(0, 1)


class _GatherRows(torch.autograd.Function):
    # With R ranks, every rank computes the same loss L of the same rows x_r
    # and prompts p. On the whole batch of one process a parameter w gets
    #
    #     dL/dw = sum_r dL/dx_r dx_r/dw + dL/dp dp/dw,
    #
    # while DDP hands out the mean over the ranks of what each computed.
    # Rank r knows dx_r/dw of its own rows alone, so its mean divides the first
    # sum by R: the factor R here makes up for it. dL/dp dp/dw is the same on
    # each rank, its own mean, and needs no factor; a loss that were divided
    # or multiplied by R as a whole would get one of the two wrong.
    #
    # The sum over ranks of dL/dx_r, which the backward of an all-gather
    # communicates, is R times the own one, since L is the same everywhere
    # (as are its weight and the scale of a gradient scaler). So backward
    # sends nothing, and cannot get between DDP's own reductions.

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

    The loss of what is returned, and its gradients after the mean over ranks
    that DistributedDataParallel takes, are those of one process on the whole
    batch. All ranks must call this together, and compute the same loss of
    what they get. Without several processes it does nothing.

    Ranks may hold different numbers of samples, or none: all are padded to
    the largest number, which is read back to the host. It is the only wait.

    Args:
        samples (Tensor): Shape (B, ...), of the same dtype and trailing shape
            on each rank.
        labels (Tensor): int64, shape (B, ); -1 for a sample that takes no
            part.

    Returns:
        tuple[Tensor, Tensor]: Samples and labels of R ranks, with B' rows for
        R times the largest B: zeros with the label -1 fill up. The gradient
        of the samples reaches the own ones.
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
