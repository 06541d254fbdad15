"""The guidance of a model's prompts during training, and its config."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmdavpt.errors import UsageError, check_choice, layer_indices
from mmdavpt.mapping import NORMALIZATIONS
from mmdavpt.models.backbones import BackboneTokens, TokenRequest
from mmdavpt.models.losses.gathering import gather_samples
from mmdavpt.registry import MODELS

from .class_mapping import ClassMapping
from .regions import Regions

#: Which classes of an image with pixel labels guide.
LABELS = ('random', 'present')


class PromptGuidance(ClassMapping):
    """The guidance loss, and the mapping that it uses.

    Args:
        num_classes (int): The number of classes ``K``.
        num_prompts (int): The number of prompts ``P`` of a guided layer.
        embed_dims (int): The number of channels ``C``.
        guided_layers (Sequence[int]): Resolved indices of the guided layers.
        loss (dict): Config of the guidance loss, such as
            ``dict(type='mmdavpt.DAVPTLoss')``.
        background_class (int, optional): Class that takes no part in
            guidance, such as 0 in PASCAL Context-60. Defaults to None.
        normalize (str): How class representations are normalized for
            k-means, see :func:`mmdavpt.mapping.normalize_rows`.
            Defaults to 'l2'.
        labels (str): Which classes of an image with pixel labels guide.
            Defaults to 'random'.

            - 'random': one of its classes, drawn in each iteration (appendix
              A.2);
            - 'present': all its classes. The sample of a class is the mean
              over its patches, both in the loss, where the patches' query or
              input replaces that of [CLS], and in the class representations
              (:mod:`mmdavpt.models.guidance.regions`).
        gather (bool): Whether the loss of each rank sees the samples of all
            ranks, with gradient. The loss and its gradients are then those of
            one process on the whole batch. On one process it changes nothing.
            Defaults to False.

    Raises:
        UsageError: If an argument does not fit.
        TypeError: If an argument has the wrong type.

    Attributes:
        iteration (int): The number of batches for which the model drew
            guidance labels itself. It is not part of the state: a training
            loop without a hook that resumes sets it.
        scale (float): Factor of all terms, see :class:`.GuidanceFadeHook`.
    """

    def __init__(
        self,
        num_classes: int,
        num_prompts: int,
        embed_dims: int,
        guided_layers: Sequence[int],
        loss: dict,
        background_class: int | None = None,
        normalize: str = 'l2',
        labels: str = 'random',
        gather: bool = False,
    ) -> None:
        check_choice('guidance.normalize', normalize, NORMALIZATIONS)
        check_choice('guidance.labels', labels, LABELS)
        excluded = () if background_class is None else (background_class,)
        if not set(excluded) <= set(range(num_classes)):
            raise UsageError(
                'guidance.background_class should be one of the '
                f'{num_classes} classes or None, but got {background_class}'
            )
        super().__init__(
            num_classes, num_prompts, embed_dims, excluded, normalize
        )
        self.guided_layers = tuple(guided_layers)
        self.loss = MODELS.build(loss)
        self.labels = labels
        self.gather = gather
        self.iteration = 0
        self.scale = 1.0
        tokens = [token for _, token in self.loss.terms.values()]
        of_image = {'saliency', 'cls_attention'}.intersection(tokens)
        if labels == 'present' and of_image:
            raise UsageError(
                "guidance.labels='present' uses tokens of patches, but the "
                f'loss uses {", ".join(of_image)}; set '
                "guidance.loss.token='patch_output', or token_weight=0, and "
                "guidance.loss.cls='query'"
            )

    def request(self, labels: Tensor | Regions) -> TokenRequest:
        """Return which tokens of the guided layers a batch needs."""
        names = self.loss.required_tokens
        if isinstance(labels, Regions):
            # [CLS] is of the image; the patches are of its regions.
            names = frozenset(n.replace('cls_', 'patch_') for n in names)
            targets = None
        else:
            targets = self.targets(labels)
        return TokenRequest(self.guided_layers, names, targets)

    def forward(
        self, tokens: BackboneTokens, labels: Tensor
    ) -> dict[str, Tensor]:
        """Return the weighted terms of the guidance loss (eq. 5).

        Args:
            tokens (BackboneTokens): With tokens of the guided layers.
            labels (Tensor): The class of each sample, int64, (B, ); -1 for a
                sample that takes no part.
        """
        samples = self.loss.samples(tokens.guided)
        if self.gather:
            samples, labels = gather_samples(samples, labels)
        prompts = self.loss.prompts(tokens.guided)
        given = self.targets(labels), self.guided_prompts()
        losses = self.loss.compare(samples, prompts, *given)
        # Times 1 changes no bit.
        return {name: loss * self.scale for name, loss in losses.items()}

    def reset(self) -> None:
        """Forget the mapping, all statistics, and the drawn batches."""
        super().reset()
        self.iteration = 0


def build_guidance(
    guidance: dict | None, backbone: nn.Module, num_classes: int
) -> PromptGuidance | None:
    """Build the guidance of a model; check it against backbone and head.

    Args:
        guidance (dict, optional): None for an unguided model; else, all
            optional:

            - ``guided_layers`` (Sequence[int]): May be negative. Defaults to
              the last layer.
            - ``loss`` (dict): Defaults to ``dict(type='mmdavpt.DAVPTLoss')``.
            - all others: see :class:`PromptGuidance`.
        backbone (nn.Module): The backbone of the model.
        num_classes (int): The number of classes of the head.

    Raises:
        TypeError: If the backbone cannot be guided, or if a key is unknown.
        UsageError: If the guidance does not fit the backbone or the head.
    """
    if guidance is None:
        return None
    if not hasattr(backbone, 'forward_with_tokens'):
        raise TypeError(
            "a guided model's backbone should be a DAVPTVisionTransformer or "
            f'a DAVPTTimmViT, but got {type(backbone).__name__}; set '
            "backbone.type='mmdavpt.DAVPTVisionTransformer' or guidance=None"
        )
    guidance = dict(loss=dict(type='mmdavpt.DAVPTLoss')) | dict(guidance)
    counts = backbone.prompts.counts
    chosen = guidance.pop('guided_layers', (-1,))
    layers = resolve_guided_layers(chosen, counts)
    sizes = num_classes, counts[layers[0]], backbone.embed_dims
    return PromptGuidance(*sizes, layers, **guidance)


def resolve_guided_layers(
    guided_layers: Sequence[int], counts: Sequence[int]
) -> list[int]:
    """Return the indices of the guided layers, all non-negative and sorted.

    Args:
        guided_layers (Sequence[int]): Indices, may be negative.
        counts (Sequence[int]): The number of prompts of each layer.

    Raises:
        UsageError: If there is none, if one is out of range or repeated, or
            if they have no prompts or different numbers of them: one mapping
            serves all guided layers.
    """
    name = '`guided_layers`'
    resolved = sorted(layer_indices(name, guided_layers, len(counts)))
    numbers = {counts[i] for i in resolved}
    if len(numbers) != 1 or 0 in numbers:
        raise UsageError(
            'guided layers should all have the same number of prompts, at '
            f'least one, but the layers {resolved} have '
            f'{[counts[i] for i in resolved]}; set `num_prompts` of the '
            'backbone, or `guidance=None`'
        )
    return resolved
