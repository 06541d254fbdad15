"""Deep prompts: the parameters, their initialisation and their dropout."""

import math
from typing import Optional, Sequence

import torch
from torch import Tensor, nn


def prompt_init_bound(patch_size: Sequence[int], embed_dims: int) -> float:
    """Return the bound of VPT's uniform initialisation.

    It is Xavier's bound of the patch projection,
    :math:`\\sqrt{6 / (3 p^2 + C)}` (VPT, Jia et al., ECCV 2022).

    Args:
        patch_size (Sequence[int]): Height and width of a patch in pixels.
        embed_dims (int): The number of channels ``C``.
    """
    return math.sqrt(6 / (3 * patch_size[0] * patch_size[1] + embed_dims))


def prompts_per_layer(num_prompts, num_layers: int) -> tuple:
    """Return the number of prompts of each layer.

    Args:
        num_prompts (int | Sequence[int]): One number for every layer, or one
            number per layer.
        num_layers (int): The number of layers ``L``.

    Raises:
        ValueError: If the length or a number does not fit.
    """
    counts = (
        (num_prompts,) * num_layers
        if not isinstance(num_prompts, Sequence)
        else tuple(num_prompts)
    )
    if len(counts) != num_layers or any(
        not isinstance(n, int) or n < 0 for n in counts
    ):
        raise ValueError(
            '`num_prompts` should be a number of at least 0, or one such '
            f'number for each of the {num_layers} layers that are used, but '
            f'got {num_prompts!r}'
        )
    return counts


class DeepPrompts(nn.ParameterDict):
    """The prompts of each layer: a dict from the layer's index to ``(P, C)``.

    Layers without prompts have no entry. The prompts are initialised here and
    not in ``init_weights``, which would overwrite prompts that a checkpoint
    contained.

    Args:
        counts (Sequence[int]): The number of prompts of each layer.
        embed_dims (int): The number of channels ``C``.
        bound (float): Bound of the uniform initialisation.
        drop_rate (float): Probability that an element of a prompt is zeroed
            in training, drawn for each sample. Defaults to 0.

    Raises:
        ValueError: If the probability is out of range.
    """

    def __init__(
        self,
        counts: Sequence[int],
        embed_dims: int,
        bound: float,
        drop_rate: float = 0.0,
    ) -> None:
        if not 0 <= drop_rate < 1:
            raise ValueError(
                f'`prompt_drop_rate` should be in [0, 1), but got {drop_rate}'
            )
        super().__init__(
            {
                str(layer): nn.Parameter(
                    torch.empty(count, embed_dims).uniform_(-bound, bound)
                )
                for layer, count in enumerate(counts)
                if count > 0
            }
        )
        self.counts = tuple(counts)
        self.drop_rate = drop_rate

    def of_layer(self, layer: int, batch_size: int) -> Optional[Tensor]:
        """Return the prompts that a layer sees, or None if it has none.

        Returns:
            Tensor | None: With shape (P, C), since prompts are the same for
            every sample; or (B, P, C) while dropout is at work.
        """
        if self.counts[layer] == 0:
            return None
        prompts = self[str(layer)]
        if self.training and self.drop_rate > 0:
            prompts = nn.functional.dropout(
                prompts.expand(batch_size, -1, -1), self.drop_rate
            )
        return prompts
