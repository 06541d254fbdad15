"""Whether an optimizer's numbers are numbers, as its signature says."""

import inspect
from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any

import torch

from .value_kinds import short

#: Arguments that are one number, unless an optimizer's default is another.
NUMBERS = ('lr', 'weight_decay', 'momentum', 'eps')


def number_defects(
    path: str, optimizer: dict, kinds: Sequence[Any]
) -> Iterator[str]:
    """Yield which arguments of an optimizer are no numbers.

    Optimizers compare them before they look at their kinds, and annotations
    allow tensors, which builders may make from anything.

    Args:
        path (str): Path of the optimizer in the config.
        optimizer (dict): Its config.
        kinds (Sequence[type | Callable]): What its type may stand for.
    """
    for key in NUMBERS:
        if key in optimizer and not (
            _is_number(optimizer[key])
            or any(_takes_others(kind, key) for kind in kinds)
        ):
            yield (
                f'`{path}.{key}` should be a number, such as 0.001 or 1e-3, '
                f'but is {short(optimizer[key])}'
            )
    betas = optimizer.get('betas', (0.9, 0.999))
    if not isinstance(betas, (list, tuple)) or not all(map(_is_number, betas)):
        yield (
            f'`{path}.betas` should be numbers, such as (0.9, 0.999), but is '
            f'{short(betas)}'
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (Real, torch.Tensor))


def _takes_others(kind: Any, key: str) -> bool:
    """Return whether an argument's default is none or several numbers."""
    parameter = inspect.signature(kind).parameters.get(key)
    return parameter is not None and not (
        parameter.default is parameter.empty or _is_number(parameter.default)
    )
