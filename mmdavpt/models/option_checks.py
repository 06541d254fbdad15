"""Checks of options: choices and numbers."""

import math
from collections.abc import Iterable
from numbers import Real

from mmdavpt.errors import UsageError


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
        raise UsageError(f'{name} should be one of {known}, but got {value!r}')


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
