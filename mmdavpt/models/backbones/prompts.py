"""Deep prompts: the parameters and their initialization."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def prompt_init_bound(patch_size: Sequence[int], embed_dims: int) -> float:
    r"""Return the bound of VPT's uniform initialization.

    It is Xavier's bound for the patch projection,
    :math:`\sqrt{6 / (3 p^2 + C)}` (VPT, Jia et al., ECCV 2022).

    Args:
        patch_size (Sequence[int]): Height and width of a patch in pixels.
        embed_dims (int): The number of channels ``C``.
    """
    return math.sqrt(6 / (3 * patch_size[0] * patch_size[1] + embed_dims))


def prompts_per_layer(
    num_prompts: int | Sequence[int], num_layers: int
) -> tuple[int, ...]:
    """Return the number of prompts of each layer.

    Args:
        num_prompts (int | Sequence[int]): One number for every layer, or one
            number per layer.
        num_layers (int): The number of layers ``L``.

    Raises:
        ValueError: If the length or a number does not fit.
    """
    several = isinstance(num_prompts, Sequence)
    counts = tuple(num_prompts) if several else (num_prompts,) * num_layers
    valid = all(isinstance(n, int) and n >= 0 for n in counts)
    if len(counts) != num_layers or not valid:
        raise ValueError(
            '`num_prompts` should be a number of at least 0, or one such '
            f'number for each of the {num_layers} layers that are used, but '
            f'got {num_prompts!r}'
        )
    return counts


class DeepPrompts(nn.ParameterDict):
    """Prompts of each layer: a dict from the layer's index to ``(P, C)``.

    Layers without prompts have no entry. The prompts are initialized here and
    not in ``init_weights``, which would overwrite prompts from a checkpoint.

    Args:
        counts (Sequence[int]): The number of prompts of each layer.
        embed_dims (int): The number of channels ``C``.
        bound (float): Bound of the uniform initialization.
    """

    def __init__(
        self, counts: Sequence[int], embed_dims: int, bound: float
    ) -> None:
        super().__init__(
            {
                str(i): torch.empty(n, embed_dims).uniform_(-bound, bound)
                for i, n in enumerate(counts)
                if n > 0
            }
        )
        self.counts = tuple(counts)

    def of_layer(self, layer: int) -> Tensor | None:
        """Return the prompts of a layer, (P, C), or None if it has none."""
        return self[str(layer)] if self.counts[layer] else None
