"""The state of guidance, and what a guided model does with it in training."""

from numbers import Real
from typing import Dict, Optional, Sequence, Union

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn

from mmdavpt.clustering import (
    NORMALIZATIONS,
    MappingResult,
    accumulate,
    assign_prompts,
    check_options,
)
from mmdavpt.clustering import class_means as means_of_classes
from mmdavpt.errors import UsageError
from mmdavpt.registry import MODELS

from .backbones import SALIENCY_KEYS, BackboneTokens, TokenRequest
from .losses.gathering import gather_samples
from .losses.sample_queue import SampleQueue
from .regions import Regions

LABELS = ('random', 'present')


class PromptGuidance(nn.Module):
    """Class-to-prompt mapping, class statistics and the guidance loss.

    All state is in persistent buffers of fixed shape, so that it travels with
    the model's weights and a run can stop and resume at any iteration.

    Args:
        num_classes (int): The number of classes ``K``.
        num_prompts (int): The number of prompts ``P`` of a guided layer.
        embed_dims (int): The number of channels ``C``.
        guided_layers (Sequence[int]): Resolved indices of the guided layers.
        loss (dict): Config of the guidance loss, such as
            ``dict(type='mmdavpt.DAVPTLoss')``.
        background_class (int, optional): Class that takes no part in
            guidance, such as 0 in PASCAL Context-60. Defaults to None.
        normalize (str): How class representations are normalised for
            k-means, see :func:`mmdavpt.clustering.normalize_rows`.
            Defaults to 'l2'.
        algorithm (str): Of k-means, 'full' or 'minibatch', see
            :func:`mmdavpt.clustering.cluster`. Defaults to 'full'.
        restarts (int, optional): Runs of the first k-means, of which the best
            counts. Defaults to None: ten, and fewer with many thousands of
            classes, see :func:`mmdavpt.clustering.cluster`.
        balanced (bool): Whether all prompts get equally many classes, as
            nearly as that goes. Defaults to False.
        saliency_keys (str): What the prompts' queries attend to: 'patches' or
            'all'. Defaults to 'patches'.
        labels (str): What guides of an image with pixel labels. Defaults to
            'random'.

            - 'random': one of its classes, drawn in each iteration (appendix
              A.2);
            - 'present': all its classes. A class's sample is the mean over
              its patches, in the loss, where the patches' query or input
              takes the place of that of [CLS], and in the class
              representations (:mod:`mmdavpt.models.regions`).
        min_coverage (float, optional): The part of a patch that its class
            must cover with ``labels='present'``. Defaults to None, a half.
        gather (bool): Whether the loss of each rank sees the samples of all
            ranks, with gradient. The loss and its gradients are then those of
            one process on the whole batch. Without several processes it
            changes nothing. Defaults to False.
        queue_size (int): How many samples of past iterations take part in the
            loss, without gradient on their side: the last ones, over all
            ranks with ``gather``. See
            :class:`~mmdavpt.models.losses.sample_queue.SampleQueue` for what
            they cost and what they are worth. Proxy-NCA and triplet are means
            over samples, so the queue takes weight from the batch there.
            Defaults to 0, none.

    Raises:
        ValueError: If an argument does not fit.

    Attributes:
        mapping (Tensor): Prompt of each class, int64, (K, ); -1 for none.
        centroids (Tensor): Of k-means, float32, (P, C).
        representations (Tensor): Last representation of each class, (K, C).
        seen (Tensor): Whether a class ever had a sample, bool, (K, ).
        class_sums (Tensor): Sum of this epoch's [CLS] features, (K, C).
        class_counts (Tensor): Their number, int64, (K, ).
        initialized (Tensor): Whether the mapping was ever set, bool, ().
        queue (SampleQueue | None): The samples of past iterations.
        has_hook (bool): Whether a hook keeps the mapping in this run; it is
            not part of the state.
    """

    #: Buffers that neither prediction nor a look at the mapping has a use
    #: for, see `checkpoints.tuned`.
    resume_only = ('representations', 'class_sums', 'class_counts')

    def __init__(
        self,
        num_classes: int,
        num_prompts: int,
        embed_dims: int,
        guided_layers: Sequence[int],
        loss: dict,
        background_class: Optional[int] = None,
        normalize: str = 'l2',
        algorithm: str = 'full',
        restarts: Optional[int] = None,
        balanced: bool = False,
        saliency_keys: str = 'patches',
        labels: str = 'random',
        min_coverage: Optional[float] = None,
        gather: bool = False,
        queue_size: int = 0,
    ) -> None:
        super().__init__()
        if saliency_keys not in SALIENCY_KEYS:
            raise ValueError(
                f'`saliency_keys` should be one of '
                f'{SALIENCY_KEYS}, but got {saliency_keys!r}'
            )
        if normalize not in NORMALIZATIONS:
            raise ValueError(
                f'`normalize` should be one of {NORMALIZATIONS}, '
                f'but got {normalize!r}'
            )
        check_options(algorithm, restarts, balanced)
        if background_class is not None and not (
            0 <= background_class < num_classes
        ):
            raise ValueError(
                f'`background_class` should be one of the {num_classes} '
                f'classes or None, but got {background_class}'
            )
        if not isinstance(gather, bool) or not isinstance(balanced, bool):
            raise TypeError(
                '`gather` and `balanced` should be True or False, but got '
                f'{gather!r} and {balanced!r}'
            )
        if isinstance(queue_size, bool) or not (
            isinstance(queue_size, int) and queue_size >= 0
        ):
            raise ValueError(
                '`queue_size` should be the number of past samples, 0 for '
                f'none, but got {queue_size!r}'
            )
        self.num_classes = num_classes
        self.num_prompts = num_prompts
        self.guided_layers = tuple(guided_layers)
        self.excluded = () if background_class is None else (background_class,)
        self.normalize = normalize
        self.k_means = dict(
            algorithm=algorithm, restarts=restarts, balanced=balanced
        )
        self.saliency_keys = saliency_keys
        self.loss = MODELS.build(loss)
        self.labels = labels
        self.min_coverage = 0.5 if min_coverage is None else min_coverage
        self._check_labels(min_coverage)
        self.gather = gather
        self.queue = (
            SampleQueue(
                queue_size,
                len(self.loss.terms),
                len(self.guided_layers),
                embed_dims,
            )
            if queue_size
            else None
        )
        self.has_hook = False
        self.register_buffer('mapping', torch.full((num_classes,), -1))
        self.register_buffer('centroids', torch.zeros(num_prompts, embed_dims))
        self.register_buffer(
            'representations', torch.zeros(num_classes, embed_dims)
        )
        self.register_buffer('seen', torch.zeros(num_classes, dtype=bool))
        self.register_buffer(
            'class_sums', torch.zeros(num_classes, embed_dims)
        )
        self.register_buffer(
            'class_counts', torch.zeros(num_classes, dtype=torch.int64)
        )
        self.register_buffer('initialized', torch.tensor(False))
        # What this process saw since the last reduction over processes.
        self.register_buffer(
            'new_sums', torch.zeros_like(self.class_sums), persistent=False
        )
        self.register_buffer(
            'new_counts', torch.zeros_like(self.class_counts), persistent=False
        )

    def _check_labels(self, min_coverage: Optional[float]) -> None:
        if self.labels not in LABELS:
            raise ValueError(
                f'`labels` should be one of {LABELS}, but got {self.labels!r}'
            )
        if not isinstance(self.min_coverage, Real):
            raise TypeError(
                f'`min_coverage` should be a number, but got {min_coverage!r}'
            )
        if min_coverage is not None and self.labels != 'present':
            raise ValueError(
                "`min_coverage` is the part of a patch that labels='present' "
                f'asks for, but got {min_coverage} with '
                f'labels={self.labels!r}'
            )
        if not 0 < self.min_coverage <= 1:
            raise ValueError(
                f'`min_coverage` should be in (0, 1], but got {min_coverage}'
            )
        used = [token for _, token in self.loss.terms.values()]
        if self.saliency_keys != 'patches' and 'saliency' not in used:
            raise ValueError(
                f'`saliency_keys` is {self.saliency_keys!r}, but the loss '
                f'uses no saliency ({used}); leave saliency_keys out'
            )
        if self.labels == 'present' and 'saliency' in used:
            raise ValueError(
                "labels='present' makes samples of patches, so the token of "
                "the loss should be one of them, but is 'saliency'; set "
                "guidance.loss.token='patch_output', or token_weight=0"
            )

    def targets(self, labels: Tensor) -> Tensor:
        """Return the prompt that each sample's class maps to.

        Args:
            labels (Tensor): int64, (B, ); -1 for a sample without a class.

        Returns:
            Tensor: int64, (B, ); -1 for a sample that takes no part.
        """
        return torch.where(labels >= 0, self.mapping[labels.clamp(min=0)], -1)

    def request(self, labels: Union[Tensor, Regions]) -> TokenRequest:
        """Return what the guided layers are to hand out for a batch."""
        names = self.loss.required_tokens
        if isinstance(labels, Regions):
            # [CLS] is of the image; the patches are of its regions.
            names = frozenset(n.replace('cls_', 'patch_') for n in names)
            targets = None
        else:
            targets = self.targets(labels)
        return TokenRequest(
            self.guided_layers, names, targets, self.saliency_keys
        )

    def forward(
        self, tokens: BackboneTokens, labels: Tensor
    ) -> Dict[str, Tensor]:
        """Return the weighted terms of the guidance loss (eq. 5).

        Args:
            tokens (BackboneTokens): What the guided layers handed out.
            labels (Tensor): The class of each sample, int64, (B, ); -1 for a
                sample that takes no part.

        Raises:
            UsageError: If several processes would keep a queue each.
        """
        assigned = torch.zeros(
            self.num_prompts + 1, dtype=torch.bool, device=labels.device
        )
        assigned[self.mapping + 1] = True
        guided = assigned[1:]
        if not self.gather and self.queue is None:
            return self.loss(tokens.guided, self.targets(labels), guided)
        samples = self.loss.samples(tokens.guided)
        prompts = self.loss.prompts(tokens.guided)
        if self.gather:
            samples, labels = gather_samples(samples, labels)
        if self.queue is not None and self.training:
            samples, labels = self._with_past(samples, labels)
        return self.loss.compare(
            samples, prompts, self.targets(labels), guided
        )

    def _with_past(self, samples: Tensor, labels: Tensor):
        if not self.gather and get_world_size() > 1:
            raise UsageError(
                'the queue of past samples is part of the checkpoint, which '
                'holds the state of one process, but each of '
                f'{get_world_size()} processes would fill its own; set '
                'guidance.gather=True, or guidance.queue_size=0'
            )
        # A class without a prompt: its saliency is that of no prompt of its
        # own, and would still be once the class has one.
        kept = torch.where(self.targets(labels) >= 0, labels, -1)
        extended = self.queue.extend(samples, labels)
        self.queue.push(samples.detach(), kept)
        return extended

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
        """Forget the mapping, the centroids, all statistics, past samples."""
        for buffer in self.buffers(recurse=False):
            buffer.zero_()
        self.mapping.fill_(-1)
        if self.queue is not None:
            self.queue.reset()
