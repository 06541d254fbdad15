"""The guidance of a model's prompts in training."""

from typing import Dict, Optional, Sequence, Union

import torch
from mmengine.dist import get_world_size
from torch import Tensor

from mmdavpt.errors import UsageError
from mmdavpt.mapping import check_options
from mmdavpt.models.backbones import BackboneTokens, TokenRequest
from mmdavpt.models.losses.gathering import gather_samples
from mmdavpt.models.losses.sample_queue import SampleQueue
from mmdavpt.registry import MODELS

from .class_mapping import ClassMapping
from .options import (
    check_labels,
    check_mapping_options,
    check_saliency,
    check_sample_options,
)
from .regions import Regions


class PromptGuidance(ClassMapping):
    """The guidance loss, and which prompt it draws each class to.

    The mapping and the class statistics are those of :class:`.ClassMapping`.

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
            k-means, see :func:`mmdavpt.mapping.normalize_rows`.
            Defaults to 'l2'.
        algorithm (str): Of k-means, 'full' or 'minibatch', see
            :func:`mmdavpt.mapping.cluster`. Defaults to 'full'.
        restarts (int, optional): Runs of the first k-means, of which the best
            counts. Defaults to None: ten, and fewer with many thousands of
            classes, see :func:`mmdavpt.mapping.cluster`.
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
              representations (:mod:`mmdavpt.models.guidance.regions`).
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
        queue (SampleQueue | None): The samples of past iterations.
        has_hook (bool): Whether a hook keeps the mapping in this run; it is
            not part of the state.
    """

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
        check_mapping_options(num_classes, background_class, normalize)
        check_options(algorithm, restarts, balanced)
        check_labels(labels, min_coverage)
        check_sample_options(gather, queue_size)
        super().__init__(
            num_classes,
            num_prompts,
            embed_dims,
            excluded=() if background_class is None else (background_class,),
            normalize=normalize,
            k_means=dict(
                algorithm=algorithm, restarts=restarts, balanced=balanced
            ),
        )
        self.guided_layers = tuple(guided_layers)
        self.loss = MODELS.build(loss)
        used = [token for _, token in self.loss.terms.values()]
        check_saliency(saliency_keys, labels, used)
        self.saliency_keys = saliency_keys
        self.labels = labels
        self.min_coverage = 0.5 if min_coverage is None else min_coverage
        self.gather = gather
        self.queue = None
        if queue_size:
            self.queue = SampleQueue(
                queue_size, len(used), len(self.guided_layers), embed_dims
            )
        self.has_hook = False

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
        guided = self.guided_prompts()
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

    def reset(self) -> None:
        """Forget the mapping, all statistics, and past samples."""
        super().reset()
        if self.queue is not None:
            self.queue.reset()
