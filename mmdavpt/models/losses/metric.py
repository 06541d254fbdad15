"""Base class of the guidance metrics; masked sums and checks of their inputs.

The functions are free of data-dependent shapes and of Python values read from
tensors, so that no metric makes the CPU wait for the GPU.
"""

import torch
from torch import Tensor, nn

from mmdavpt.errors import check_number

from .similarity import full_precision


class Metric(nn.Module):
    """A guidance metric with options.

    Its ``forward`` takes

    - ``similarity``: :math:`s(x,p)` of samples and prompts, shape (B, P);
    - ``target``: the prompt that each sample's class maps to, or -1, int64,
      shape (B, ). A sample with -1 is neither positive nor negative. Values
      are not checked, since reading them would stall an accelerator;
    - ``guided``: whether each prompt is guided, bool, shape (P, );

    and returns a scalar in float32 or better: a zero that keeps its graph if
    there is no guided prompt, or no sample that takes part. It raises a
    ``ValueError`` if a shape does not fit.

    Args:
        **options: The options, which become attributes.

    Raises:
        UsageError: If ``alpha``, ``temperature`` or ``margin`` is out of
            range.
        TypeError: If one of them is not a number.
    """

    def __init__(self, **options) -> None:
        super().__init__()
        name = type(self).__name__
        for option in ('alpha', 'temperature'):
            value = options.get(option, 1)
            check_number(f'{option} of {name}', value, positive=True)
        check_number(f'margin of {name}', options.get('margin', 0))
        self.options = options
        vars(self).update(options)

    def extra_repr(self) -> str:
        """Show the options when the module is printed."""
        return ', '.join(f'{k}={v!r}' for k, v in self.options.items())


def masked_pairs(
    similarity: Tensor, target: Tensor, guided: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Check the shapes of a metric's inputs; return its pairs.

    Only guided prompts make pairs, and only samples that take part, that is,
    whose target is not -1.

    Args:
        similarity (Tensor): Of samples and prompts, shape (B, P).
        target (Tensor): Prompt of each sample or -1, shape (B, ).
        guided (Tensor): Whether each prompt is guided, shape (P, ).

    Returns:
        tuple[Tensor, Tensor, Tensor]: The similarities in float32 or better;
        positive and negative pairs, bool; (B, P) each.

    Raises:
        ValueError: If a shape does not fit.
    """
    if target.shape + guided.shape != similarity.shape or target.ndim != 1:
        raise ValueError(
            'similarity, target and guided should have the shapes (B, P), '
            f'(B, ) and (P, ), but got {tuple(similarity.shape)}, '
            f'{tuple(target.shape)} and {tuple(guided.shape)}'
        )
    index = torch.arange(guided.numel(), device=target.device)
    own = target.unsqueeze(1) == index
    takes_part = (target >= 0).unsqueeze(1)
    positive, negative = own & guided, ~own & guided & takes_part
    return full_precision(similarity), positive, negative


def log_one_plus_sum_exp(logits: Tensor, mask: Tensor, dim: int) -> Tensor:
    """Compute ``log(1 + sum(exp(logits)))`` over the masked-in entries.

    The 1 is an appended zero logit: the maximum is then never below 0, so
    that nothing overflows, an empty sum gives exactly 0, and the gradient of
    a masked-out entry is exactly 0 whatever its value.

    Args:
        logits (Tensor): Shape (B, P).
        mask (Tensor): The entries that count, bool, shape (B, P).
        dim (int): The dimension summed over.

    Returns:
        Tensor: ``logits`` without the dimension ``dim``.
    """
    kept = logits.masked_fill(~mask, float('-inf'))
    shape = list(kept.shape)
    shape[dim] = 1
    return torch.cat([kept, kept.new_zeros(shape)], dim).logsumexp(dim)


def mean_over(terms: Tensor, count: Tensor) -> Tensor:
    """Divide the sum of ``terms`` by ``count``, or by 1 if that is 0."""
    return terms.sum() / count.clamp(min=1)
