"""Guidance and the class-to-prompt mapping of classifier and segmentor."""

import logging
from collections.abc import Callable, Iterable, Sequence

import torch
from mmengine.logging import print_log
from mmengine.structures import BaseDataElement
from mmpretrain.models.heads import ClsHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmdavpt.checkpoints import fit, safe_loading, tuned
from mmdavpt.errors import UsageError
from mmdavpt.mapping import accumulate, describe, first_pass_loader
from mmdavpt.progress import track
from mmdavpt.randomness import isolated_randomness

from .guidance import PromptGuidance, Regions, region_tokens
from .losses import symmetric_kl
from .pretrained import Normalization

#: The ``loss`` of a base class of heads to what computes it of logits.
BY_LOGITS = {ClsHead.loss: '_get_loss', BaseDecodeHead.loss: 'loss_by_feat'}


def normalization_note(
    data_preprocessor: nn.Module, declared: Normalization | None
) -> str | None:
    """Return a note if images are not normalized as the weights declare.

    Args:
        data_preprocessor (nn.Module): The model's, with ``mean`` and ``std``
            in the order of channels that the backbone sees.
        declared (Normalization, optional): The normalization that the weights
            declare.

    Returns:
        str | None: None if both are the same or one is unknown.
    """
    mean = getattr(data_preprocessor, 'mean', None)
    if declared is None or mean is None:
        return None
    given = torch.stack([mean.flatten(), data_preprocessor.std.flatten()])
    given, expected = given.cpu(), torch.tensor(declared[:2])
    if torch.allclose(given, expected, atol=0.05):
        return None
    given, expected = (
        'mean {} and std {}'.format(*x.double().numpy().round(3).tolist())
        for x in (given, expected)
    )
    return (
        f'images are normalized by {given}, but the weights were trained with '
        f'{expected} (as {declared.source} declares); set mean and std of the '
        'data preprocessor to follow the weights, or keep them to follow '
        "papers that use ImageNet's values for all weights"
    )


class GuidedModelMixin:
    """Adds guidance to a model of MMPretrain or MMSegmentation.

    A subclass defines ``guidance_labels(data_samples)``, ``draw_labels`` and
    ``losses_of_heads(inputs, features, data_samples)``. ``extract_feat`` stays
    free of labels, so guidance has no effect on inference. In your own
    training loop, without :class:`.PromptMappingHook`::

        model.fit_mapping(loader)
        for epoch in range(epochs):
            for batch in loader:
                data = model.data_preprocessor(batch, training=True)
                loss, _ = model.parse_losses(model.loss(**data))
                ...
            model.refresh_mapping()

    Attributes:
        guidance (PromptGuidance | None): None for plain prompt tuning.
        completes_tuned_weights (bool): Whether states without the frozen
            weights can be loaded.
        load_allowed (Sequence[str] | None): Patterns of names that may be
            missing, unexpected or of another shape in a checkpoint file; None
            if the code that loads it has compared them.
    """

    guidance: PromptGuidance | None
    completes_tuned_weights = True
    load_allowed: Sequence[str] | None = (fit.GUIDANCE,)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, metadata: dict, *args
    ) -> None:
        # Here, and not in a tool, so that every way of loading supports them.
        tuned.fill_frozen(self, state_dict, prefix)
        source = metadata.get(safe_loading.SOURCE)
        if source is not None and self.load_allowed is not None:
            # mmengine would keep random weights and only log their names.
            fit.check_fit(self, state_dict, source, self.load_allowed)
        super()._load_from_state_dict(state_dict, prefix, metadata, *args)

    def init_weights(self) -> None:
        """Initialize the weights; warn if images are normalized differently.

        Raises:
            UsageError: If an ``init_cfg`` loads weights into the whole model:
                mmengine would only warn about missing keys.
        """
        given = self.init_cfg or []
        for cfg in [given] if isinstance(given, dict) else given:
            if cfg.get('type') == 'Pretrained':
                raise UsageError(
                    'set pre-trained weights in model.backbone.init_cfg, '
                    'which loads them strictly, instead of model.pretrained '
                    f'or model.init_cfg, which is {cfg}'
                )
        super().init_weights()
        declared = getattr(self.backbone, 'normalization', None)
        if note := normalization_note(self.data_preprocessor, declared):
            print_log(note, logger='current', level=logging.WARNING)

    def fit_mapping(self, loader: Iterable[dict], seed: int = 0) -> None:
        """Make the first mapping from a pass over the training set.

        The pass reads the dataset of a ``DataLoader`` once, in order, and
        leaves the random state as it was. Without guidance it does nothing.

        Args:
            loader (Iterable[dict]): The training loader, or batches.
            seed (int): Seed of the pass, of k-means++ and of drawn guidance
                labels. Defaults to 0.

        Raises:
            ValueError: If a label is missing or out of range, or if an image
                gives a feature that is not finite.
        """
        if self.guidance is None:
            return
        self.guidance.seed = seed
        with isolated_randomness(seed):
            if isinstance(loader, DataLoader):
                loader = first_pass_loader(loader, seed)
            self.observe_training_set(loader)
        self.refresh_mapping()

    @torch.no_grad()
    def observe_training_set(
        self, loader: Iterable, stopped: Callable[[], object] = lambda: False
    ) -> None:
        """Forget the mapping; observe the training set without prompts.

        Args:
            loader (Iterable[dict]): See :func:`.first_pass_loader`.
            stopped (Callable[[], object]): Called after each batch; the pass
                ends if it returns true. Defaults to never.
        """
        guidance = self.guidance
        guidance.reset()
        was_training = self.training
        self.eval()
        sums, counts = guidance.new_sums, guidance.new_counts
        for number, batch in enumerate(track(loader, 'first pass')):
            accumulate(sums, counts, *self._unprompted(number, batch))
            if stopped():
                break
        self.train(was_training)

    def _unprompted(self, number: int, batch: dict) -> tuple[Tensor, Tensor]:
        """Return the features (M, C) and classes (M, ) of a raw batch."""
        drawn = self.draw_labels(batch['data_samples'], number, True)
        # As in training, so that crops are padded to one size.
        data = self.data_preprocessor(batch, training=True)
        tokens = self.backbone.unprompted_tokens(data['inputs'])
        check_finite(tokens.cls, data['data_samples'])
        if self.guidance.labels == 'present':
            regions = self.regions(data['data_samples'])
            return region_tokens(tokens, regions).cls, regions.labels
        return tokens.cls, torch.tensor(drawn, device=tokens.cls.device)

    def refresh_mapping(self) -> int | None:
        """Cluster the statistics since the last mapping, and log the new one.

        Call it after an epoch. Without guidance it does nothing.

        Returns:
            int | None: How many classes moved to another prompt; None for
            the first mapping and without guidance.

        Raises:
            ValueError: If a feature was not finite, or no class was seen.
        """
        if self.guidance is None:
            return None
        result, moved = self.guidance.recluster()
        level, line = logging.INFO, describe(result, moved)
        if (result.mapping < 0).all():
            level = logging.WARNING
            line += ', since it needs at least two classes'
        print_log(line, logger='current', level=level)
        return moved

    def loss(
        self, inputs: Tensor, data_samples: list[BaseDataElement]
    ) -> dict[str, Tensor]:
        """Return the losses of the heads and, in training, of guidance.

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
            data_samples (list[BaseDataElement]): With one ``gt_label`` each,
                or with ``gt_sem_seg``.
        """
        if not self.training or not (self.guidance or self.consistency_weight):
            return super().loss(inputs, data_samples)
        labels = self.guidance and self.guidance_labels(data_samples)
        features, losses = self.forward_guided(inputs, labels)
        return losses | self.losses_of_heads(inputs, features, data_samples)

    def forward_guided(
        self, inputs: Tensor, labels: Tensor | Regions | None
    ) -> tuple[tuple, dict[str, Tensor]]:
        """Run backbone and neck; compute the guidance loss; observe classes.

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
            labels (Tensor | Regions | None): Guidance labels, int64, (B, ),
                -1 for none; or the regions of the images. None without
                guidance.

        Returns:
            tuple[tuple, dict[str, Tensor]]: The features for the head, and
            the weighted terms of the guidance loss.

        Raises:
            UsageError: If there is no mapping.
        """
        if labels is None:
            return self.extract_feat(inputs), {}
        guidance = self.guidance
        guidance.check_initialized()
        request = guidance.request(labels)
        features, tokens = self.backbone.forward_with_tokens(inputs, request)
        if isinstance(labels, Regions):
            tokens, labels = region_tokens(tokens, labels), labels.labels
        losses = guidance(tokens, labels)
        guidance.observe(tokens.cls.detach(), labels)
        if self.with_neck:
            features = self.neck(features)
        return features, losses

    @property
    def consistency_weight(self) -> float:
        """float: The highest of the tuners, see :class:`.Tuner`."""
        tuners = getattr(self.backbone, 'all_tuners', list)()
        return max((t.consistency_weight for t in tuners), default=0.0)

    def head_losses(
        self, head: nn.Module, inputs: Tensor, features: tuple, *args
    ) -> dict[str, Tensor]:
        """Return the losses of the main head, and compare two forward passes.

        Without a weight there is one pass. A second one draws its own experts
        and dropout; neither the head's loss nor guidance see it. Batch norms
        of the head count both passes in their running statistics.

        Args:
            head (nn.Module): The main head.
            inputs (Tensor): Images with shape (B, 3, H, W).
            features (tuple): Those of the first pass, for the head.
            *args: Further arguments of the head's ``loss``: first the data
                samples.

        Returns:
            dict[str, Tensor]: With ``loss_consistency``, the weighted
            symmetric KL divergence, if its weight is above 0.

        Raises:
            UsageError: If two passes should be compared, but the head has a
                loss of its own or no logits.
        """
        weight = self.consistency_weight
        if not weight:
            return head.loss(features, *args)
        by_logits = BY_LOGITS.get(type(head).loss)
        logits = head(features) if by_logits else None
        if not isinstance(logits, Tensor):
            raise UsageError(
                f'{type(head).__name__} does not give one logit per class, '
                'which a tuner compares between two forward passes; use '
                'another head, or set `consistency_weight=0` of the tuner'
            )
        losses = getattr(head, by_logits)(logits, args[0])
        second = head(self.extract_feat(inputs))
        losses['loss_consistency'] = weight * symmetric_kl(logits, second)
        return losses


def check_finite(features: Tensor, data_samples: Sequence) -> None:
    """Check that features are finite.

    Args:
        features (Tensor): With shape (B, C).
        data_samples (Sequence): Of the images.

    Raises:
        ValueError: If one is not, with the path of its image.
    """
    finite = torch.isfinite(features).all(dim=1)
    wrong = [data_samples[i] for i in (~finite).nonzero().flatten().tolist()]
    if wrong:
        paths = [s.get('img_path', 'an image without a path') for s in wrong]
        raise ValueError(
            f'the backbone gives NaN or infinite features for {paths}; check '
            'these images, or the pre-trained weights if all are affected'
        )
