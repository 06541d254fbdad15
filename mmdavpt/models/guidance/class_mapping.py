"""The class-to-prompt mapping and class statistics, in buffers."""

from collections.abc import Callable, Sequence

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn

from mmdavpt import mapping
from mmdavpt.errors import UsageError
from mmdavpt.ranks import run_on_rank_0


class ClassMapping(nn.Module):
    """The class-to-prompt mapping and the class statistics (section 3.4).

    All state is in persistent buffers of fixed shape, so it is saved with the
    model's weights and a run can stop and resume at any iteration.

    Args:
        num_classes (int): The number of classes ``K``.
        num_prompts (int): The number of prompts ``P`` of a guided layer.
        embed_dims (int): The number of channels ``C``.
        excluded (Sequence[int]): Classes that take no part in guidance.
            Defaults to ().
        normalize (str): How class representations are normalized for
            k-means. Defaults to 'l2'.

    Attributes:
        seed (int): Seed of k-means++ and of drawn labels.
        mapping (Tensor): Prompt of each class, int64, (K, ); -1 for none.
        centroids (Tensor): Of k-means, float32, (P, C).
        representations (Tensor): Last representation of each class, (K, C).
        seen (Tensor): Whether a class ever had a sample, bool, (K, ).
        class_sums (Tensor): Sum of the features since the last re-clustering,
            over all ranks, (K, C).
        class_counts (Tensor): Their number, int64, (K, ).
        initialized (Tensor): Whether the mapping was ever set, bool, ().
    """

    #: Buffers that only resuming needs, not prediction or inspection,
    #: see `checkpoints.tuned`.
    resume_only = ('representations', 'class_sums', 'class_counts')

    def __init__(
        self,
        num_classes: int,
        num_prompts: int,
        embed_dims: int,
        excluded: Sequence[int] = (),
        normalize: str = 'l2',
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_prompts = num_prompts
        self.excluded = tuple(excluded)
        self.normalize = normalize
        self.seed = 0
        per_class = (num_classes, embed_dims)
        counts = torch.zeros(num_classes, dtype=torch.int64)
        self.register_buffer('mapping', torch.full((num_classes,), -1))
        self.register_buffer('centroids', torch.zeros(num_prompts, embed_dims))
        self.register_buffer('representations', torch.zeros(per_class))
        self.register_buffer('seen', torch.zeros(num_classes, dtype=bool))
        self.register_buffer('class_sums', torch.zeros(per_class))
        self.register_buffer('class_counts', counts)
        self.register_buffer('initialized', torch.tensor(False))
        # What this rank observed since `collect` was last called. No buffers:
        # PyTorch's DDP would replace them by those of rank 0.
        self.new_sums = torch.zeros(per_class)
        self.new_counts = counts.clone()
        self._checked_version = -1

    def _apply(self, fn: Callable, recurse: bool = True) -> 'ClassMapping':
        """Move or convert the tensors that are no buffers, too."""
        self.new_sums, self.new_counts = fn(self.new_sums), fn(self.new_counts)
        return super()._apply(fn, recurse)

    def check_initialized(self) -> None:
        """Check that there is a mapping.

        Raises:
            UsageError: If it was never set.
        """
        # Read the value only if it was written since: reading makes the CPU
        # wait for the GPU.
        version = self.initialized._version
        if version == self._checked_version:
            return
        if not self.initialized:
            raise UsageError(
                'the guided model has no class-to-prompt mapping: add '
                "custom_hooks=[dict(type='mmdavpt.PromptMappingHook')] to "
                'the config, or call model.fit_mapping(loader) before '
                'your own training loop'
            )
        self._checked_version = version

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
        prompts = torch.arange(self.num_prompts, device=self.mapping.device)
        return (prompts.unsqueeze(1) == self.mapping).any(dim=1)

    @torch.no_grad()
    def observe(self, cls: Tensor, labels: Tensor) -> None:
        """Add a training batch to the statistics of this rank.

        Args:
            cls (Tensor): [CLS] features, (B, C).
            labels (Tensor): int64, (B, ); -1 for none.
        """
        # Batch by batch, so that the sums do not depend, to the last bit, on
        # how often `collect` is called.
        sums = torch.zeros_like(self.new_sums)
        mapping.accumulate(sums, self.new_counts, cls, labels)
        self.new_sums += sums

    @torch.no_grad()
    def collect(self) -> None:
        """Add what all ranks newly observed to the shared statistics.

        All ranks must call it together. It sends as many bytes as the
        gradient of a linear head.
        """
        all_reduce(self.new_sums)
        all_reduce(self.new_counts)
        self.class_sums += self.new_sums
        self.class_counts += self.new_counts
        self.drop_new()

    def drop_new(self) -> None:
        """Forget what this rank newly observed."""
        self.new_sums.zero_()
        self.new_counts.zero_()

    def drop_collected(self) -> None:
        """Forget the statistics since the last re-clustering."""
        self.class_sums.zero_()
        self.class_counts.zero_()

    @torch.no_grad()
    def update_representations(self) -> None:
        """Turn the shared statistics into class representations."""
        self.representations[:], self.seen[:] = mapping.class_means(
            self.class_sums, self.class_counts, self.representations, self.seen
        )
        self.drop_collected()

    def cluster(self) -> mapping.MappingResult:
        """Cluster the class representations, without changing any state.

        k-means starts from the previous centroids, if there are any; before
        the first mapping they are zero, which counts as none.
        """
        state = self.representations, self.seen, self.centroids
        means, seen, centroids = (tensor.cpu().numpy() for tensor in state)
        options = centroids, self.excluded, self.normalize, self.seed
        return mapping.assign_prompts(means, seen, self.num_prompts, *options)

    def recluster(self) -> tuple[mapping.MappingResult, int | None]:
        """Make a new mapping from what all ranks observed.

        All ranks must call it together; rank 0 clusters.

        Returns:
            tuple[MappingResult, int | None]: The mapping, and how many
            classes moved to another prompt; None for the first mapping.

        Raises:
            ValueError: On all ranks, if rank 0 cannot cluster.
        """
        self.collect()
        self.update_representations()
        result = run_on_rank_0(self.cluster)
        changed = None
        if self.initialized:
            changed = int((self.mapping.cpu().numpy() != result.mapping).sum())
        self.set_mapping(result)
        return result, changed

    @torch.no_grad()
    def set_mapping(self, result: mapping.MappingResult) -> None:
        """Use a mapping and its centroids."""
        self.mapping.copy_(torch.as_tensor(result.mapping))
        self.centroids.copy_(torch.as_tensor(result.centroids))
        self.initialized.fill_(True)

    @torch.no_grad()
    def reset(self) -> None:
        """Forget the mapping, the centroids and all statistics."""
        for buffer in self.buffers(recurse=False):
            buffer.zero_()
        self.drop_new()
        self.mapping.fill_(-1)
