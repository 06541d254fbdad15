"""Checks of options: choices, numbers and indices of layers."""

import math
from collections.abc import Iterable, Sequence
from numbers import Real

from .errors import UsageError, did_you_mean


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Check an option that has a fixed set of values.

    Args:
        name (str): The option, such as 'token of DAVPTLoss'.
        value (object): Its value.
        choices (Iterable[object]): The values that it may have.

    Raises:
        UsageError: If it has another one.
    """
    if value not in (known := tuple(choices)):
        hint = did_you_mean(value, known)
        what = f'{name} should be one of {known}, but got {value!r}{hint}'
        raise UsageError(what)


def check_number(
    name: str, value: object, least: float = -math.inf, positive: bool = False
) -> None:
    """Check an option that is a number.

    Args:
        name (str): The option, such as 'alpha of ProxyAnchor'.
        value (object): Its value.
        least (float): The smallest valid value. Defaults to -inf.
        positive (bool): Whether it must be above 0. Defaults to False.

    Raises:
        TypeError: If it is not a number.
        UsageError: If it is too small, infinite or NaN.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f'{name} should be a number, but got {value!r}')
    if not math.isfinite(value) or value < least or (positive and value <= 0):
        bound = '' if least == -math.inf else f' and at least {least:g}'
        bound = ' and positive' if positive else bound
        raise UsageError(f'{name} should be finite{bound}, but got {value!r}')


def check_count(name: str, value: object, least: int) -> None:
    """Check an option that is None or a whole number.

    Args:
        name (str): The option, such as 'PromptMappingHook: `seed`'.
        value (object): Its value.
        least (int): The smallest valid number.

    Raises:
        UsageError: If it is neither.
    """
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int) or value < least
    ):
        raise UsageError(
            f'{name} should be a whole number, at least {least}, or None, '
            f'but got {value!r}'
        )


def layer_indices(
    name: str, given: int | Sequence[int], num_layers: int
) -> list[int]:
    """Return the indices that an option gives of layers, from 0.

    Args:
        name (str): The option, such as '`out_indices`'.
        given (int | Sequence[int]): One or more; may be negative.
        num_layers (int): The number of layers.

    Raises:
        UsageError: If there is none, or one is out of range or repeated.
    """
    indices = [given] if isinstance(given, int) else [*given]
    found = [i + num_layers if i < 0 else i for i in indices]
    if not found or len({*found} & {*range(num_layers)}) < len(found):
        raise UsageError(
            f'{name} should name layers out of the {num_layers} that are run '
            f'(0 to {num_layers - 1}, or negative), each once, but got {given}'
        )
    return found
