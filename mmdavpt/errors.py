"""The error of a user's mistake, parts of messages, and checks of options."""

import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Real


class UsageError(ValueError):
    """A mistake of the user; the message says what to do.

    Tools print it as one sentence, without a traceback.
    """


@contextmanager
def prefix_errors(text: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn errors into a :class:`UsageError` that begins with a text.

    Args:
        text (str): Where the error is.
        *kinds (type[Exception]): Kinds of errors.

    Raises:
        UsageError: If the block raises an error of one of these kinds.
    """
    try:
        yield
    except kinds as error:
        why = str(error) or type(error).__name__
        raise UsageError(f'{text}: {why}') from error


def warn(sentence: str) -> None:
    """Write a warning to stderr, on rank 0.

    Args:
        sentence (str): What is wrong, and what to do.
    """
    if os.environ.get('RANK', '0') == '0':
        sys.stderr.write(f'warning: {sentence}\n')


def first_few(items: Iterable[object], most: int = 3) -> str:
    """Return the number of items and the first few of them.

    Args:
        items (Iterable[object]): At least one.
        most (int): How many to show. Defaults to 3.

    Returns:
        str: Such as '5 (such as a, b, c)'; all of them if there are no more.
    """
    names = [str(item) for item in items]
    if len(names) <= most:
        return ', '.join(names)
    return f'{len(names)} (such as {", ".join(names[:most])})'


def did_you_mean(word: object, choices: Iterable[object]) -> str:
    """Return a hint that names the choice closest to a word, in any case.

    Args:
        word (object): The word as typed.
        choices (Iterable[object]): The valid words.

    Returns:
        str: Such as "; did you mean 'num_classes'?"; empty if none is close.
    """
    names = {str(choice).lower(): str(choice) for choice in choices}
    near = get_close_matches(str(word).lower(), names, n=1)
    return f'; did you mean {names[near[0]]!r}?' if near else ''


def printable(text: str) -> str:
    """Return a text that can be written, whatever bytes file names have.

    Args:
        text (str): The text.
    """
    return text.encode('utf-8', 'backslashreplace').decode()


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
