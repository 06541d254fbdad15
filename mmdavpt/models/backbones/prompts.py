"""Deep prompts: parameters, initialization, connections between layers."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmdavpt.errors import check_choice


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
        dims (int): The number of channels ``C``.
        bound (float): Bound of the uniform initialization.
    """

    def __init__(self, counts: Sequence[int], dims: int, bound: float) -> None:
        super().__init__(
            {
                str(i): torch.empty(n, dims).uniform_(-bound, bound)
                for i, n in enumerate(counts)
                if n > 0
            }
        )
        self.counts = tuple(counts)

    def of_layer(self, layer: int) -> Tensor | None:
        """Return the prompts of a layer, (P, C), or None if it has none."""
        return self[str(layer)] if self.counts[layer] else None


PROPAGATE = (False, True, 'sum', 'gate')
#: GateVPT starts with gates that are all but closed (its ``GATE_INIT`` is
#: 10, ryongithub/GatedPromptTuning, src/configs/config.py).
GATE_INIT = -10.0


def mix_prompts(
    own: Tensor, incoming: Tensor, gate_logit: Tensor | None = None
) -> Tensor:
    r"""Mix prompts with the previous layer's prompt outputs.

    .. math::
        P + P_{out} \quad\text{or}\quad
        \sigma(g)\, P_{out} + (1 - \sigma(g))\, P

    Args:
        own (Tensor): Prompts of the layer, or those that entered the
            previous layer (GateVPT), :math:`P`, (B, P, C).
        incoming (Tensor): Prompt outputs of the previous layer,
            :math:`P_{out}`, (B, P, C).
        gate_logit (Tensor, optional): :math:`g`, a scalar. None adds both.

    Returns:
        Tensor: With shape (B, P, C).
    """
    if gate_logit is None:
        return own + incoming
    return torch.lerp(own, incoming, gate_logit.sigmoid())


def gate_logits(
    propagate: bool | str, counts: Sequence[int]
) -> nn.Parameter | None:
    """Return the logits of the gates between layers, if there are any.

    Args:
        propagate (bool | str): Option of the backbone.
        counts (Sequence[int]): The number of prompts of each layer.

    Returns:
        nn.Parameter | None: With shape (layers - 1, ): the k-th gate leads
        from layer k to layer k + 1.

    Raises:
        ValueError: If the option is unknown, or if layers that are connected
            have different numbers of prompts, except for gates with prompts
            of the first layer alone.
    """
    check_choice('`propagate`', propagate, PROPAGATE)
    if propagate in (False, True):
        return None
    shallow = propagate == 'gate' and not any(counts[1:])
    same = shallow or len(set(counts)) == 1
    if not same or counts[0] == 0 or len(counts) < 2:
        raise ValueError(
            f'propagate={propagate!r} connects the prompts of two and more '
            "layers, so all (or, with 'gate', only the first) should have the "
            f'same number of prompts, at least one, but got {tuple(counts)}'
        )
    if propagate == 'sum':
        return None
    return nn.Parameter(torch.full((len(counts) - 1,), GATE_INIT))
