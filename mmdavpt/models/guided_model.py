"""What the guided classifier and the guided segmentor have in common."""

import logging
from typing import Optional, Sequence, Tuple, Union

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdavpt.checkpoints.fit import GUIDANCE, check_fit
from mmdavpt.checkpoints.safe_loading import SOURCE
from mmdavpt.checkpoints.tuned import fill_frozen
from mmdavpt.errors import UsageError

from .backbones import BackboneTokens
from .guidance import PromptGuidance, Regions, region_means, region_tokens
from .pretrained import Normalization


def normalization_note(
    data_preprocessor: nn.Module, declared: Optional[Normalization]
) -> Optional[str]:
    """Say so if images are normalised otherwise than the weights declare.

    Args:
        data_preprocessor (nn.Module): The model's, with ``mean`` and ``std``
            in the order of channels that the backbone sees.
        declared (Normalization, optional): What the weights declare.

    Returns:
        str | None: The sentence; None if both are the same or one is unknown.
    """
    mean = getattr(data_preprocessor, 'mean', None)
    if declared is None or mean is None:
        return None
    here = [mean.flatten(), data_preprocessor.std.flatten()]
    there = [torch.tensor(x).to(mean) for x in declared[:2]]
    if all(
        torch.allclose(x, y, atol=0.05)
        for x, y in zip(here, there, strict=True)
    ):
        return None
    return (
        'images are normalised by mean {} and std {}, but the weights were '
        'made with mean {} and std {} (as {} declares). Authors who use '
        "ImageNet's for all weights do so too; to follow the weights, set "
        'mean and std of the data preprocessor'.format(
            *([round(v, 3) for v in x.tolist()] for x in [*here, *there]),
            declared.source,
        )
    )


def samples_of(
    tokens: BackboneTokens, labels: Union[Tensor, Regions]
) -> Tuple[BackboneTokens, Tensor]:
    """Return the tokens and classes of the samples of guidance.

    Args:
        tokens (BackboneTokens): Of the images.
        labels (Tensor | Regions): See
            :meth:`.GuidedModelMixin.features_and_guidance`.

    Returns:
        Tuple[BackboneTokens, Tensor]: As they are where an image is a sample;
        those of the regions where they are, with the mean patch in the place
        of [CLS].
    """
    if not isinstance(labels, Regions):
        return tokens, labels
    guided = {
        layer: region_tokens(of_layer, labels)
        for layer, of_layer in tokens.guided.items()
    }
    means = region_means(tokens.patches, labels)
    return BackboneTokens(means, guided), labels.labels


class GuidedModelMixin:
    """Adds the guidance loss to the losses of a host's model.

    The host's ``extract_feat`` stays free of labels, so that nothing of
    guidance is left at inference.
    """

    guidance: Optional[PromptGuidance]
    #: Whether states without the frozen weights can be loaded.
    completes_tuned_weights = True
    #: Patterns of names that may be missing, surplus or of another shape in a
    #: checkpoint file; None where what loads it has compared them.
    load_allowed: Optional[Sequence[str]] = (GUIDANCE,)

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, local_metadata: dict, *args
    ) -> None:
        # Here, and not in a tool, so that every way of loading takes them.
        fill_frozen(self, state_dict, prefix)
        source = local_metadata.get(SOURCE)
        if source is not None and self.load_allowed is not None:
            # The hosts would leave random weights in place, with a line on it.
            check_fit(
                self,
                state_dict,
                source,
                self.load_allowed,
                'use the config of its training, or name what may differ in '
                "the model's attribute `load_allowed`",
            )
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, *args
        )

    def init_weights(self) -> None:
        """Initialize the weights; say with what images they were made.

        Raises:
            UsageError: If the model, and not its backbone, is to be loaded:
                the host would do so with a mere warning for missing keys.
        """
        given = self.init_cfg or []
        for cfg in [given] if isinstance(given, dict) else given:
            if cfg.get('type') == 'Pretrained':
                raise UsageError(
                    'pre-trained weights should be those of the backbone, '
                    'model.backbone.init_cfg, which is loaded strictly, but '
                    f'model.pretrained or model.init_cfg is {cfg}'
                )
        super().init_weights()
        note = normalization_note(
            self.data_preprocessor,
            getattr(self.backbone, 'normalization', None),
        )
        if note:
            print_log(note, logger='current', level=logging.WARNING)

    def features_and_guidance(
        self, inputs: Tensor, labels: Union[Tensor, Regions]
    ):
        """Run backbone and neck; guide the prompts; observe the classes.

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
            labels (Tensor | Regions): Guidance labels, int64, (B, ), -1 for
                none; or the regions of the images.

        Returns:
            Tuple[tuple, Dict[str, Tensor]]: The features for the head, and
            the weighted terms of the guidance loss.

        Raises:
            RuntimeError: If no hook keeps the mapping.
        """
        guidance = self.guidance
        if not guidance.has_hook:
            raise RuntimeError(
                'nothing keeps the class-to-prompt mapping of the guided '
                'model: add '
                "custom_hooks=[dict(type='mmdavpt.PromptMappingHook')] to "
                'the config, or set model.guidance=None for plain prompt '
                'tuning'
            )
        request = guidance.request(labels)
        features, tokens = self.backbone.forward_with_tokens(inputs, request)
        tokens, labels = samples_of(tokens, labels)
        losses = guidance(tokens, labels)
        guidance.observe(tokens.cls.detach(), labels)
        if self.with_neck:
            features = self.neck(features)
        return features, losses

    def unprompted_samples(
        self, inputs: Tensor, data_samples: Sequence, labels: Sequence[int]
    ) -> Tuple[Tensor, Tensor]:
        """Return the samples of the pass before training and their classes.

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
            data_samples (Sequence): Of these images, after preprocessing.
            labels (Sequence[int]): The classes that were read or drawn, -1
                for none.

        Returns:
            Tuple[Tensor, Tensor]: With the shapes (M, C) and (M, ).

        Raises:
            ValueError: If an image gives a feature that is not finite.
        """
        tokens = self.backbone.unprompted_tokens(inputs)
        check_finite(tokens.cls, data_samples)
        tokens, labels = samples_of(
            tokens, self.first_labels(data_samples, labels, inputs.device)
        )
        return tokens.cls, labels

    def first_labels(
        self,
        data_samples: Sequence,
        labels: Sequence[int],
        device: torch.device,
    ) -> Union[Tensor, Regions]:
        """Return the guidance labels of the pass before training.

        Args:
            data_samples (Sequence): See :meth:`unprompted_samples`.
            labels (Sequence[int]): See :meth:`unprompted_samples`.
            device (torch.device): That of the images.
        """
        return torch.tensor(labels, device=device)


def check_finite(features: Tensor, data_samples: Sequence) -> None:
    """Raise if a feature is not finite, and name its image.

    Args:
        features (Tensor): With shape (B, C).
        data_samples (Sequence): Of the images.

    Raises:
        ValueError: If one is not.
    """
    finite = torch.isfinite(features).all(dim=1)
    if finite.all():
        return
    paths = [
        data_samples[i].get('img_path', 'an image without a path')
        for i in (~finite).nonzero().flatten().tolist()
    ]
    raise ValueError(
        f'the backbone gives NaN or infinite features for {paths}; check '
        'these images, and the pre-trained weights if it is all of them'
    )
