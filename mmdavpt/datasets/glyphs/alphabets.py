"""Characters of the glyph datasets, and the font faces that have them."""

import os.path as osp
from collections.abc import Sequence
from functools import lru_cache

import matplotlib
from matplotlib.ft2font import FT2Font

_DEJAVU = [
    f'DejaVu{family}{style}'
    for family, styles in (
        ('Sans', ('', '-Bold', '-Oblique', '-BoldOblique')),
        ('SansMono', ('', '-Bold', '-Oblique', '-BoldOblique')),
        ('Serif', ('', '-Bold', '-Italic', '-BoldItalic')),
    )
    for style in styles
]
_STIX = [f'STIXGeneral{style}' for style in ('', 'Bol', 'Italic', 'BolIta')]

#: Faces with Latin, Greek and Cyrillic letters.
MULTISCRIPT_FACES = tuple(_DEJAVU + _STIX)
#: Faces with Latin letters; the splits share no face. Each has sans, mono,
#: serif and slanted faces, but those of 'train' are regular and those of
#: 'test' bold. cmti10 is missing because only Matplotlib 3.11 ships it, which
#: needs Python 3.11.
LATIN_FACES = {
    'train': tuple(MULTISCRIPT_FACES[::2]) + ('cmr10', 'cmss10', 'cmtt10'),
    'test': tuple(MULTISCRIPT_FACES[1::2]) + ('cmb10',),
}

#: Cyrillic letters that look like a Greek one in every face. They are left
#: out: the same picture would have two labels.
_CYRILLIC_HOMOGLYPHS = 'АВЕКМНОРТХГПФо'
_UPPER_GREEK = 'ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ'
_LOWER_GREEK = 'αβγδεζηθικλμνξοπρςστυφχψω'
_CYRILLIC = (
    'АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдеёжзийклмнопрстуфхцчшщъыьэюя'
)

#: Greek and Cyrillic letters that look like a Latin one.
_LATIN_HOMOGLYPHS = 'ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο' + 'СаеорсухЁё'
#: Đ looks like Ð.
_ACCENTED = ''.join(chr(c) for c in range(0xC0, 0x180) if chr(c) not in '×÷Đ')

#: Character sets by name: the classes of pre-training and tuning.
ALPHABETS: dict[str, str] = {
    'greek_cyrillic': _UPPER_GREEK
    + _LOWER_GREEK
    + ''.join(c for c in _CYRILLIC if c not in _CYRILLIC_HOMOGLYPHS),
    'latin': '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
    'latin_upper': 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
}
# All scripts at once and accented letters, for tasks of many classes.
ALPHABETS['letters'] = (
    ALPHABETS['latin']
    + ''.join(
        c for c in ALPHABETS['greek_cyrillic'] if c not in _LATIN_HOMOGLYPHS
    )
    + _ACCENTED
)


def alphabet_from(chars: str) -> str:
    """Return the characters of a named alphabet, or ``chars`` itself.

    Raises:
        TypeError: If ``chars`` is not a string.
        ValueError: If a character occurs twice or there are fewer than two.
    """
    if not isinstance(chars, str):
        raise TypeError(
            f'glyph characters should be one string, but got {chars!r}'
        )
    chars = ALPHABETS.get(chars, chars)
    if len(chars) < 2 or len(set(chars)) != len(chars):
        raise ValueError(
            f'glyph characters should be one of {sorted(ALPHABETS)} or at '
            f'least two different characters, but got {chars!r}'
        )
    return chars


def font_path(face: str) -> str:
    """Return the path of a font that Matplotlib ships.

    Args:
        face (str): Its name, such as 'DejaVuSans-Bold'.
    """
    return osp.join(matplotlib.get_data_path(), 'fonts', 'ttf', f'{face}.ttf')


@lru_cache(maxsize=64)
def _characters_of(face: str) -> frozenset:
    return frozenset(map(chr, FT2Font(font_path(face)).get_charmap()))


def check_faces(faces: Sequence[str], chars: str) -> None:
    """Check that every face exists and has every character.

    A face draws the same empty box for every character that it lacks.

    Raises:
        ValueError: If a face is unknown or lacks a character.
    """
    for face in faces:
        if not osp.exists(font_path(face)):
            raise ValueError(
                f'glyph face {face!r} is not among the fonts of Matplotlib in '
                f'{osp.dirname(font_path(face))}'
            )
        lacking = ''.join(c for c in chars if c not in _characters_of(face))
        if lacking:
            raise ValueError(
                f'glyph face {face!r} lacks the characters '
                f'{lacking!r}; choose other faces for them'
            )
