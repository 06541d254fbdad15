"""Learnable deltas of the fused qkv bias (section 3.5)."""

from typing import Mapping, Optional, Sequence

import torch
from torch import Tensor, nn


def zero_bias_deltas(
    bias: Sequence[str], qkv: nn.Linear, num_layers: int
) -> nn.ParameterDict:
    """Return the deltas of all layers, initially zero.

    Args:
        bias (Sequence[str]): Out of 'q', 'k' and 'v', each at most once.
        qkv (nn.Linear): The fused projection of a layer, C to 3C.
        num_layers (int): The number of layers ``L``.

    Returns:
        nn.ParameterDict: Part to (L, C).

    Raises:
        ValueError: If a part is unknown or given twice, or there is no bias.
    """
    if not set(bias) <= set('qkv') or len(set(bias)) != len(bias):
        raise ValueError(
            "`bias` should name parts out of 'q', 'k' and "
            f"'v', each once, but got {bias!r}"
        )
    if bias and qkv.bias is None:
        raise ValueError(
            '`bias` tunes the qkv bias, but `qkv_bias=False` '
            f'leaves none; got bias={bias!r}'
        )
    return nn.ParameterDict(
        {
            part: nn.Parameter(torch.zeros(num_layers, qkv.out_features // 3))
            for part in bias
        }
    )


def shifted_qkv_bias(
    bias: Optional[Tensor], delta: Mapping[str, Tensor]
) -> Optional[Tensor]:
    """Return the bias of the fused projection plus the learnable deltas.

    Args:
        bias (Tensor, optional): That of the fused projection, (3C, ).
        delta (Mapping[str, Tensor]): Deltas with shape (C, ), keyed by 'q',
            'k' or 'v' (section 3.5).

    Returns:
        Tensor | None: With shape (3C, ); the bias as it was, even if that is
        None, without deltas.
    """
    if not delta:
        return bias
    zero = torch.zeros_like(next(iter(delta.values())))
    shift = torch.cat([delta.get(part, zero) for part in 'qkv'])
    return shift if bias is None else bias + shift
