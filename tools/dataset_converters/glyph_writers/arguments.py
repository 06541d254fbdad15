"""Check the arguments of writers, and the letters of many classes."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from mmdavpt.datasets.glyphs.alphabets import ALPHABETS

#: Greek and Cyrillic letters that look like a Latin one.
_LATIN_HOMOGLYPHS = 'ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο' + 'СаеорсухЁё'
#: Đ looks like Ð.
_ACCENTED = ''.join(chr(c) for c in range(0xC0, 0x180) if chr(c) not in '×÷Đ')

#: Letters of all scripts and accented ones, in the order of the classes.
LETTERS = (
    ALPHABETS['latin']
    + ''.join(
        c for c in ALPHABETS['greek_cyrillic'] if c not in _LATIN_HOMOGLYPHS
    )
    + _ACCENTED
)


def check_integers(low: int, **values: Any) -> None:
    """Check that all values are integers of at least ``low``.

    Raises:
        ValueError: If one is not; the message names it.
    """
    for name, value in values.items():
        if not isinstance(value, Integral) or value < low:
            raise ValueError(
                f'{name} should be an integer of at least {low}, '
                f'but got {value!r}'
            )


def scene_size(size: Sequence[int]) -> tuple[int, int]:
    """Return height and width as a tuple.

    Raises:
        ValueError: If they are not two integers of at least 16; smaller
            characters are not legible.
    """
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise ValueError(
            f'the size of a scene should be (height, width), but got {size!r}'
        )
    check_integers(16, height=size[0], width=size[1])
    return int(size[0]), int(size[1])
