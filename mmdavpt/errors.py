"""The error of a user's mistake, and the parts that messages share."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


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
