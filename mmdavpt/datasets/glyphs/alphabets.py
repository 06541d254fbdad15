"""Characters of the glyph datasets, and the font faces that have them."""

import os.path as osp
from collections.abc import Sequence
from functools import lru_cache

import matplotlib
from matplotlib.ft2font import FT2Font


def _dejavu(family: str, slanted: str) -> list[str]:
    styles = ('', '-Bold', f'-{slanted}', f'-Bold{slanted}')
    return [f'DejaVu{family}{style}' for style in styles]


_DEJAVU = _dejavu('Sans', 'Oblique') + _dejavu('SansMono', 'Oblique')
_DEJAVU += _dejavu('Serif', 'Italic')
_STIX = [f'STIXGeneral{style}' for style in ('', 'Bol', 'Italic', 'BolIta')]

#: Faces with Latin, Greek and Cyrillic letters.
MULTISCRIPT_FACES = tuple(_DEJAVU + _STIX)
#: Sets of font faces by name; splits share no face. Each has sans, mono, serif
#: and slanted faces, but those of 'train' are regular and those of 'test'
#: bold. cmti10 is missing because only Matplotlib 3.11 ships it, which needs
#: Python 3.11.
FACES = {
    'multiscript': MULTISCRIPT_FACES,
    'multiscript_train': MULTISCRIPT_FACES[::2],
    'multiscript_test': MULTISCRIPT_FACES[1::2],
    'latin_train': (*MULTISCRIPT_FACES[::2], 'cmr10', 'cmss10', 'cmtt10'),
    'latin_test': (*MULTISCRIPT_FACES[1::2], 'cmb10'),
}

#: Cyrillic letters that look like a Greek one in every face. They are left
#: out: the same picture would have two labels.
_CYRILLIC_HOMOGLYPHS = 'АВЕКМНОРТХГПФо'
_UPPER_GREEK = 'ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ'
_LOWER_GREEK = 'αβγδεζηθικλμνξοπρςστυφχψω'
_CYRILLIC = (
    'АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдеёжзийклмнопрстуфхцчшщъыьэюя'
)

#: Character sets by name: the classes of pre-training and tuning.
ALPHABETS: dict[str, str] = {
    'greek_cyrillic': _UPPER_GREEK
    + _LOWER_GREEK
    + ''.join(c for c in _CYRILLIC if c not in _CYRILLIC_HOMOGLYPHS),
    'latin': '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
    'latin_upper': 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
}


def font_path(face: str) -> str:
    """Return the path of a font that Matplotlib ships.

    Args:
        face (str): Its name, such as 'DejaVuSans-Bold'.
    """
    return osp.join(matplotlib.get_data_path(), 'fonts', 'ttf', f'{face}.ttf')


@lru_cache(maxsize=64)
def _characters_of(face: str) -> frozenset:
    return frozenset(map(chr, FT2Font(font_path(face)).get_charmap()))


def faces_from(faces: str | Sequence[str], chars: str) -> tuple[str, ...]:
    """Return a named set of font faces, or the given faces.

    A face draws the same empty box for every character that it lacks.

    Args:
        faces (str | Sequence[str]): A key of ``FACES``, or font names.
        chars (str): Characters that every face must have.

    Raises:
        ValueError: If the name is unknown, there is no face, or a face lacks
            a character.
    """
    if isinstance(faces, str) and faces not in FACES or not len(faces):
        raise ValueError(
            f'glyph faces should be one of {sorted(FACES)} or a list of font '
            f'names, but got {faces!r}'
        )
    faces = FACES[faces] if isinstance(faces, str) else tuple(faces)
    for face in faces:
        lacking = ''.join(c for c in chars if c not in _characters_of(face))
        if lacking:
            raise ValueError(
                f'glyph face {face!r} lacks the characters {lacking!r}; '
                'choose other faces for them'
            )
    return faces
