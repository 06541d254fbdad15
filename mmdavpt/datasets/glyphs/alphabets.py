"""The characters of the embedded task, and the font faces that hold them."""

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

#: Faces that hold Latin, Greek and Cyrillic.
MULTISCRIPT_FACES = tuple(_DEJAVU + _STIX)
#: Faces that hold Latin, every second one for each split: the two share no
#: face. Each has sans, mono, serif and slanted ones, but those of 'train' are
#: of regular weight and those of 'test' bold. cmti10 is left out, since
#: Matplotlib ships it from 3.11 on, which needs Python 3.11.
LATIN_FACES = {
    'train': tuple(MULTISCRIPT_FACES[::2]) + ('cmr10', 'cmss10', 'cmtt10'),
    'test': tuple(MULTISCRIPT_FACES[1::2]) + ('cmb10',),
}

#: Cyrillic letters drawn like a Greek one in every face would be the same
#: picture with two labels, so they are left out.
_CYRILLIC_HOMOGLYPHS = 'АВЕКМНОРТХГПФо'
_UPPER_GREEK = 'ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ'
_LOWER_GREEK = 'αβγδεζηθικλμνξοπρςστυφχψω'
_CYRILLIC = (
    'АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдеёжзийклмнопрстуфхцчшщъыьэюя'
)

#: Greek and Cyrillic letters drawn like a Latin one, plain or accented.
_LATIN_HOMOGLYPHS = 'ΑΒΕΖΗΙΚΜΝΟΡΤΥΧο' + 'СаеорсухЁё'
#: Đ is drawn like Ð.
_ACCENTED = ''.join(chr(c) for c in range(0xC0, 0x180) if chr(c) not in '×÷Đ')

#: Character sets by name: the classes of the pre-training and tuning tasks.
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
        ValueError: If a character stands twice or fewer than two are given.
    """
    if not isinstance(chars, str):
        raise TypeError(
            f'glyph characters should be one string, but got {chars!r}'
        )
    chars = ALPHABETS.get(chars, chars)
    if len(chars) < 2 or len(set(chars)) != len(chars):
        raise ValueError(
            'glyph characters should be a name out of '
            f'{sorted(ALPHABETS)} or at least two different '
            f'characters, but got {chars!r}'
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
    """Check that every face is there and holds every character.

    A face draws the same empty box for each character that it lacks.

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
