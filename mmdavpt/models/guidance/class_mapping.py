"""Which prompt each class belongs to, and the statistics that say so."""

from typing import Optional, Sequence

import torch
from torch import Tensor, nn

from mmdavpt.mapping import (
    MappingResult,
    accumulate,
    assign_prompts,
)
from mmdavpt.mapping import class_means as means_of_classes


class ClassMapping(nn.Module):
    """The class-to-prompt mapping and the class statistics (section 3.4).

    All state is in persistent buffers of fixed shape, so that it travels with
    the model's weights and a run can stop and resume at any iteration.

    Args:
        num_classes (int): The number of classes ``K``.
        num_prompts (int): The number of prompts ``P`` of a guided layer.
        embed_dims (int): The number of channels ``C``.
        excluded (Sequence[int]): Classes that take no part in guidance.
            Defaults to ().
        normalize (str): How class representations are normalised for
            k-means. Defaults to 'l2'.
        k_means (dict, optional): Options of
            :func:`mmdavpt.mapping.cluster`. Defaults to None.

    Attributes:
        mapping (Tensor): Prompt of each class, int64, (K, ); -1 for none.
        centroids (Tensor): Of k-means, float32, (P, C).
        representations (Tensor): Last representation of each class, (K, C).
        seen (Tensor): Whether a class ever had a sample, bool, (K, ).
        class_sums (Tensor): Sum of this epoch's [CLS] features, (K, C).
        class_counts (Tensor): Their number, int64, (K, ).
        initialized (Tensor): Whether the mapping was ever set, bool, ().
    """

    #: Buffers that neither prediction nor a look at the mapping has a use
    #: for, see `checkpoints.tuned`.
    resume_only = ('representations', 'class_sums', 'class_counts')

    def __init__(
        self,
        num_classes: int,
        num_prompts: int,
        embed_dims: int,
        excluded: Sequence[int] = (),
        normalize: str = 'l2',
        k_means: Optional[dict] = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_prompts = num_prompts
        self.excluded = tuple(excluded)
        self.normalize = normalize
        self.k_means = dict(k_means or {})
        per_class = (num_classes, embed_dims)
        counts = torch.zeros(num_classes, dtype=torch.int64)
        self.register_buffer('mapping', torch.full((num_classes,), -1))
        self.register_buffer('centroids', torch.zeros(num_prompts, embed_dims))
        self.register_buffer('representations', torch.zeros(per_class))
        self.register_buffer('seen', torch.zeros(num_classes, dtype=bool))
        self.register_buffer('class_sums', torch.zeros(per_class))
        self.register_buffer('class_counts', counts)
        self.register_buffer('initialized', torch.tensor(False))
        # What this process saw since the last reduction over processes.
        self.register_buffer(
            'new_sums', torch.zeros(per_class), persistent=False
        )
        self.register_buffer('new_counts', counts.clone(), persistent=False)

    def targets(self, labels: Tensor) -> Tensor:
        """Return the prompt that each sample's class maps to.

        Args:
            labels (Tensor): int64, (B, ); -1 for a sample without a class.

        Returns:
            Tensor: int64, (B, ); -1 for a sample that takes no part.
        """
        return torch.where(labels >= 0, self.mapping[labels.clamp(min=0)], -1)

    def guided_prompts(self) -> Tensor:
        """Return whether each prompt has a class, bool, with shape (P, )."""
        # One place more, for classes without a prompt.
        assigned = self.mapping.new_zeros(
            self.num_prompts + 1, dtype=torch.bool
        )
        assigned[self.mapping + 1] = True
        return assigned[1:]

    @torch.no_grad()
    def observe(self, cls: Tensor, labels: Tensor) -> None:
        """Add a batch to this epoch's class statistics.

        Args:
            cls (Tensor): [CLS] features, (B, C).
            labels (Tensor): int64, (B, ); -1 for none.
        """
        accumulate(self.new_sums, self.new_counts, cls, labels)

    @torch.no_grad()
    def take_new(self) -> None:
        """Move what was newly observed into the epoch's statistics."""
        self.class_sums += self.new_sums
        self.class_counts += self.new_counts
        self.new_sums.zero_()
        self.new_counts.zero_()

    @torch.no_grad()
    def finish_epoch(self) -> None:
        """Turn the epoch's statistics into class representations.

        Raises:
            ValueError: If a class has a non-finite sum.
        """
        bad = ~torch.isfinite(self.class_sums).all(dim=1)
        if bad.any():
            raise ValueError(
                'class representations should be finite, but those of the '
                f'classes {bad.nonzero().flatten().tolist()} are not: an '
                'image holds NaN or infinite values, or training diverged; '
                'check the images of these classes, or lower the learning '
                'rate'
            )
        representations, seen = means_of_classes(
            self.class_sums, self.class_counts, self.representations, self.seen
        )
        self.representations.copy_(representations)
        self.seen.copy_(seen)
        self.class_sums.zero_()
        self.class_counts.zero_()

    def cluster(self, seed: int) -> MappingResult:
        """Cluster the class representations; change nothing.

        k-means starts from the previous centroids, if there are any.

        Args:
            seed (int): Seed of k-means++ where there are none, and of
                mini-batches.
        """
        return assign_prompts(
            self.representations.cpu().numpy(),
            self.seen.cpu().numpy(),
            self.num_prompts,
            centroids=self.centroids.cpu().numpy()
            if self.initialized
            else None,
            excluded=self.excluded,
            normalize=self.normalize,
            seed=seed,
            **self.k_means,
        )

    @torch.no_grad()
    def set_mapping(self, result: MappingResult) -> None:
        """Take over a mapping and its centroids."""
        self.mapping.copy_(torch.as_tensor(result.mapping))
        self.centroids.copy_(torch.as_tensor(result.centroids))
        self.initialized.fill_(True)

    @torch.no_grad()
    def reset(self) -> None:
        """Forget the mapping, the centroids and all statistics."""
        for buffer in self.buffers(recurse=False):
            buffer.zero_()
        self.mapping.fill_(-1)
