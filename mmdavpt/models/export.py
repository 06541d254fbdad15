"""Fold what tuning learnt into the weights of a plain backbone."""

from collections.abc import Mapping

from torch import Tensor


def fold_bias_delta(
    weights: Mapping[str, Tensor], prefix: str = 'backbone.'
) -> dict[str, Tensor]:
    r"""Fold the q, k and v deltas of DA-VPT+ away (section 3.5), exactly.

    The rows of a softmax sum to one, so a constant added to all values is
    added to the attention's output: :math:`\Delta_v` becomes a shift
    :math:`W_{proj} \Delta_v` of the output projection's bias. A constant
    added to all keys adds the same number to all scores of a row, which
    leaves the softmax unchanged: :math:`\Delta_k` goes. :math:`\Delta_q` is
    added to the bias of the queries.

    Args:
        weights (Mapping[str, Tensor]): State of a model.
        prefix (str): What the names of its backbone start with.
            Defaults to 'backbone.'.

    Returns:
        dict[str, Tensor]: The state of the same model with ``bias=()``.
    """
    folded = dict(weights)
    deltas = {
        part: folded.pop(f'{prefix}bias_delta.{part}', None) for part in 'qkv'
    }
    for part, rows in deltas.items():
        for layer, delta in enumerate(() if rows is None else rows):
            place = f'{prefix}layers.{layer}.attn'
            if part == 'v':
                weight = folded[f'{place}.proj.weight'].double()
                shift = weight @ delta.double()
                name = f'{place}.proj.bias'
                folded[name] = (folded[name].double() + shift).to(
                    weights[name]
                )
            elif part == 'q':
                name = f'{place}.qkv.bias'
                channels = len(delta)
                bias = folded[name].clone()
                bias[:channels] += delta
                folded[name] = bias
    return folded
