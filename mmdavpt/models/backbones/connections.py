"""Connections from the prompts of one layer to the next (appendix D)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

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
    if propagate not in PROPAGATE:
        raise ValueError(
            f'`propagate` should be one of {PROPAGATE}, but got {propagate!r}'
        )
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
