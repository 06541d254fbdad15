"""The steps of the guidance loss, as pure functions.

Reduce tokens to one vector per sample, term and layer; optionally add the
samples of other ranks; apply the metric.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from .masked import full_precision
from .similarity import cosine_similarity_matrix


def one_vector_per_sample(x: Tensor) -> Tensor:
    """Return the mean over a sample's tokens, in float32 or better.

    Args:
        x (Tensor): Shape (B, N, C), or (B, C) if there is one token.

    Returns:
        Tensor: Shape (B, C).
    """
    if x.ndim == 2:
        return full_precision(x)
    # Summed in float32: bfloat16 keeps three digits of a mean.
    return x.mean(1, dtype=torch.promote_types(x.dtype, torch.float32))


def stack_samples(
    tokens: Mapping[int, Mapping[str, Tensor]], names: Sequence[str]
) -> Tensor:
    """Reduce the tokens of a batch to one vector per term and layer.

    Args:
        tokens (Mapping[int, Mapping[str, Tensor]]): Per guided layer the
            named tokens, of shape (B, C) or (B, N, C).
        names (Sequence[str]): The token of each of the T terms.

    Returns:
        Tensor: Shape (B, T, G, C) for G guided layers, in float32 or better.
    """
    terms = [
        torch.stack(
            [one_vector_per_sample(named[name]) for named in tokens.values()],
            dim=1,
        )
        for name in names
    ]
    return torch.stack(terms, dim=1)


def mean_over_layers(
    metric: Callable[[Tensor, Tensor, Tensor], Tensor],
    samples: Tensor,
    prompts: Sequence[Tensor],
    target: Tensor,
    guided: Tensor,
    prompt_scale: float = 1.0,
) -> list[Tensor]:
    """Apply the metric to each term and layer, and average over the layers.

    Args:
        metric (Callable): From similarities (B, P), target and guided to a
            scalar, such as :func:`.proxy_anchor_loss`.
        samples (Tensor): As of :func:`stack_samples`, shape (B, T, G, C).
        prompts (Sequence[Tensor]): Of each of the G layers, shape (P, C).
        target (Tensor): Prompt that each sample's class maps to, or -1 for a
            sample that takes no part, int64, shape (B, ).
        guided (Tensor): Whether each prompt is guided, bool, shape (P, ).
        prompt_scale (float): Factor on the unit prompts. Defaults to 1.0.

    Returns:
        list[Tensor]: The T terms without their weights, scalars.

    Raises:
        ValueError: If a shape does not fit.
    """
    # The gradient of a similarity is the other vector: a NaN here would reach
    # the prompts even with a zero gradient.
    takes_part = (target >= 0).unsqueeze(1)

    def one_layer(x: Tensor, p: Tensor) -> Tensor:
        x = torch.where(takes_part, x, torch.zeros_like(x))
        similarity = cosine_similarity_matrix(x, p, prompt_scale)
        return metric(similarity, target, guided)

    return [
        torch.stack(
            [
                one_layer(x, p)
                for x, p in zip(term.unbind(1), prompts, strict=True)
            ]
        ).mean()
        for term in samples.unbind(1)
    ]
