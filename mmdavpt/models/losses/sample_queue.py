"""Samples of past iterations, as further samples of a small batch."""

import torch
from torch import Tensor, nn


class SampleQueue(nn.Module):
    r"""The last ``size`` samples of each term and guided layer.

    A sample is kept with its class, not with the prompt that the class had:
    after a re-clustering it counts for the prompt of today. It is kept as it
    was, so it is stale by up to ``size / global batch`` iterations of training
    prompts (a saliency also by a mapping). That is a close enough stand-in
    only while prompts move little in so many iterations: choose a size of a
    few batches, not of an epoch (cf. Wang et al., Cross-Batch Memory,
    CVPR 2020). It has no gradient, since the weights that made it are gone.

    The state is in persistent buffers of fixed shape, which take
    :math:`4 \cdot size \cdot T \cdot G \cdot C + 8 \cdot size` bytes, on the
    device and in each checkpoint. 256 samples of two terms in one layer with
    768 channels are 1.5 MiB; in 12 layers, 18 MiB.

    Args:
        size (int): The number of samples, at least 1.
        num_terms (int): The number of terms of the loss ``T``.
        num_layers (int): The number of guided layers ``G``.
        embed_dims (int): The number of channels ``C``.

    Attributes:
        samples (Tensor): The oldest first, float32, (size, T, G, C).
        labels (Tensor): Their classes, int64, (size, ); -1 for a place that is
            not filled yet.
    """

    #: Buffers that prediction has no use for, see `checkpoints.tuned`.
    resume_only = ('samples', 'labels')

    def __init__(
        self, size: int, num_terms: int, num_layers: int, embed_dims: int
    ) -> None:
        super().__init__()
        self.register_buffer(
            'samples', torch.zeros(size, num_terms, num_layers, embed_dims)
        )
        self.register_buffer('labels', torch.full((size,), -1))

    def extend(self, samples: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return a batch with the past samples after its own.

        Args:
            samples (Tensor): Shape (B, T, G, C).
            labels (Tensor): Classes, int64, shape (B, ); -1 for none.

        Returns:
            tuple[Tensor, Tensor]: Samples and labels, B + size of each.
        """
        # A copy: the buffers change before backward reads what it kept.
        return (
            torch.cat([samples, self.samples]),
            torch.cat([labels, self.labels]),
        )

    @torch.no_grad()
    def push(self, samples: Tensor, labels: Tensor) -> None:
        """Take in a batch, and drop the oldest samples.

        A sample without a class takes no place. Nor does one that is not
        finite: a gradient scaler skips such a step, but the queue would hold
        on to it for many more.

        Args:
            samples (Tensor): Shape (B, T, G, C).
            labels (Tensor): Classes, int64, shape (B, ); -1 for none.
        """
        finite = samples.isfinite().flatten(1).all(1)
        samples = torch.cat([self.samples, samples.to(self.samples)])
        labels = torch.cat([self.labels, torch.where(finite, labels, -1)])
        # Those without a class first, the others in their order after them:
        # no place is looked up, so nothing is read back to the host.
        order = (labels >= 0).to(torch.uint8).argsort(stable=True)
        newest = order[-len(self.labels) :]
        self.labels.copy_(labels[newest])
        filled = (self.labels >= 0).view(-1, 1, 1, 1)
        # Zeros in other places: the state does not depend on who was skipped.
        self.samples.copy_(torch.where(filled, samples[newest], 0))

    @torch.no_grad()
    def reset(self) -> None:
        """Empty all places."""
        self.samples.zero_()
        self.labels.fill_(-1)
