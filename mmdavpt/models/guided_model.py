"""What the guided classifier and the guided segmentor have in common."""

import inspect
import logging
from difflib import get_close_matches
from typing import Optional, Sequence, Tuple, Union

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdavpt.checkpoints.tuned import complete
from mmdavpt.errors import UsageError

from .backbones import BackboneTokens, DAVPTVisionTransformer
from .guidance import PromptGuidance
from .pretrained import Normalization
from .regions import Regions, region_means, region_tokens


def build_guidance(
    guidance: Optional[dict], backbone: nn.Module, num_classes: int
) -> Optional[PromptGuidance]:
    """Build the guidance of a model, checked against backbone and head.

    Args:
        guidance (dict, optional): None for an unguided model; else, all
            optional:

            - ``guided_layers`` (Sequence[int]): May be negative. Defaults to
              the last layer.
            - ``loss`` (dict): Defaults to ``dict(type='mmdavpt.DAVPTLoss')``.
            - ``num_classes`` (int): Defaults to the head's.
            - all others: see :class:`PromptGuidance`.
        backbone (nn.Module): The backbone of the model.
        num_classes (int): The number of classes of the head.

    Raises:
        TypeError: If the backbone cannot be guided.
        ValueError: If the guidance does not fit the backbone or the head.
    """
    if guidance is None:
        return None
    if not isinstance(backbone, DAVPTVisionTransformer):
        raise TypeError(
            "a guided model's backbone should be a DAVPTVisionTransformer, "
            f'but got {type(backbone).__name__}; set '
            "backbone.type='mmdavpt.DAVPTVisionTransformer' or guidance=None"
        )
    if backbone.cls_token is None:
        raise ValueError(
            'guidance needs a backbone with `with_cls_token=True`, but got '
            'False'
        )
    guidance = dict(guidance)
    check_guidance_keys(guidance)
    guidance.setdefault('loss', dict(type='mmdavpt.DAVPTLoss'))
    given = guidance.pop('num_classes', num_classes)
    if given != num_classes:
        raise ValueError(
            f'the guidance has num_classes={given}, but the head has '
            f'num_classes={num_classes}; make them equal, or leave the '
            'former out'
        )
    layers = resolve_guided_layers(
        guidance.pop('guided_layers', (-1,)), backbone.prompts.counts
    )
    return PromptGuidance(
        num_classes=num_classes,
        num_prompts=backbone.prompts.counts[layers[0]],
        embed_dims=backbone.embed_dims,
        guided_layers=layers,
        **guidance,
    )


def check_guidance_keys(guidance: dict) -> None:
    """Check the keys of a guidance config.

    Raises:
        ValueError: If one is unknown.
    """
    known = set(inspect.signature(PromptGuidance).parameters)
    known -= {'num_prompts', 'embed_dims'}  # the backbone's
    for key in guidance:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise ValueError(
                f'`guidance` has no key {key!r}; it has {sorted(known)}'
                + (f'; did you mean {near[0]!r}?' if near else '')
            )


def resolve_guided_layers(
    guided_layers: Sequence[int], counts: Sequence[int]
) -> Sequence[int]:
    """Return the indices of the guided layers, all non-negative and sorted.

    Args:
        guided_layers (Sequence[int]): Indices, may be negative.
        counts (Sequence[int]): The number of prompts of each layer.

    Raises:
        ValueError: If there is none, if one is out of range or twice there,
            or if they have no prompts or different numbers of them: one
            mapping serves all guided layers.
        TypeError: If it is no list of integers.
    """
    num_layers = len(counts)
    if not isinstance(guided_layers, (list, tuple)) or not all(
        isinstance(i, int) for i in guided_layers
    ):
        raise TypeError(
            '`guided_layers` should be a list of layer indices such as '
            f'(-1,), but got {guided_layers!r}'
        )
    resolved = sorted(i + num_layers if i < 0 else i for i in guided_layers)
    if (
        not resolved
        or len(set(resolved)) != len(resolved)
        or not all(0 <= i < num_layers for i in resolved)
    ):
        raise ValueError(
            f'`guided_layers` should hold different layers out of the '
            f'{num_layers} that are used (0 to {num_layers - 1}, or '
            f'negative), but got {tuple(guided_layers)}'
        )
    numbers = {counts[i] for i in resolved}
    if len(numbers) != 1 or 0 in numbers:
        raise ValueError(
            'guided layers should all have the same number of prompts, at '
            f'least one, but the layers {resolved} have '
            f'{[counts[i] for i in resolved]}; set `num_prompts` of the '
            'backbone, or `guidance=None`'
        )
    return resolved


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
            :meth:`GuidedModelMixin.features_and_guidance`.

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

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *args
    ) -> None:
        # Here, and not in a tool, so that every way of loading takes them.
        complete(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)

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
