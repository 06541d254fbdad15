"""Build the guidance of a model from its config."""

from collections.abc import Sequence

from torch import nn

from mmdavpt.errors import UsageError, layer_indices

from .prompt_guidance import PromptGuidance


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
