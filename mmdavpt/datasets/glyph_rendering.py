"""Draw glyphs and glyph scenes: pure functions of ``(seed, index)``.

The embedded task needs no download: characters are drawn with the fonts that
Matplotlib ships, at random face, size, place, rotation, colours and texture.
Every random number comes from ``numpy.random.Generator.random`` and all
resampling from Pillow, so that the same versions give the same bytes on every
machine.
"""

import os.path as osp
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Dict, Sequence, Tuple

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

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

#: Character sets by name: the classes of the pre-training and tuning tasks.
ALPHABETS: Dict[str, str] = {
    'greek_cyrillic': _UPPER_GREEK
    + _LOWER_GREEK
    + ''.join(c for c in _CYRILLIC if c not in _CYRILLIC_HOMOGLYPHS),
    'latin': '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
    'latin_upper': 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',
}


@dataclass(frozen=True)
class GlyphStyle:
    """How glyphs look. All amplitudes are fractions of the full range 255.

    Attributes:
        ink (Tuple[float, float]): Range of the grey level of the ink.
        paper (Tuple[float, float]): Range of the grey level of the paper.
        swap (float): Probability that ink and paper change places.
        colour (float): Largest deviation of each channel from the grey level.
        texture (float): Amplitude of the smooth background texture.
        noise (float): Amplitude of the noise of single pixels.
        size (Tuple[float, float]): Range of the em size, as a fraction of the
            shorter image side.
        rotation (float): Largest rotation either way, in degrees.
        shift (float): Largest shift either way, as a fraction of the image.
        strokes (int): Number of stray lines drawn across the image.

    Raises:
        ValueError: If an amplitude is negative, a range runs backwards, or
            the size is not positive.
    """

    ink: Tuple[float, float] = (0.0, 0.35)
    paper: Tuple[float, float] = (0.65, 1.0)
    swap: float = 0.0
    colour: float = 0.1
    texture: float = 0.1
    noise: float = 0.05
    size: Tuple[float, float] = (0.7, 0.95)
    rotation: float = 12.0
    shift: float = 0.1
    strokes: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            ends = value if isinstance(value, (tuple, list)) else (0, value)
            if len(ends) != 2 or not 0 <= ends[0] <= ends[1]:
                raise ValueError(
                    f'glyph style field {field.name!r} should be '
                    f'{"a range" if ends is value else "a number"} that is '
                    f'not negative, but got {value!r}'
                )
        if self.size[0] == 0:
            raise ValueError(
                "glyph style field 'size' should be above 0, "
                f'but got {self.size!r}'
            )


#: The styles of the embedded tasks. ``clean`` is what the backbone is
#: pre-trained on, dark on light. ``inverted``, light on dark, is the domain
#: that it is then tuned to: a linear probe of frozen features falls far behind
#: full tuning there, and prompts lie between. ``rough`` is hard for all.
STYLES: Dict[str, GlyphStyle] = {
    'clean': GlyphStyle(),
    'inverted': GlyphStyle(swap=1.0, texture=0.15, noise=0.1),
    'rough': GlyphStyle(
        ink=(0.0, 0.6),
        paper=(0.4, 1.0),
        swap=0.5,
        colour=0.25,
        texture=0.3,
        noise=0.2,
        rotation=20.0,
        shift=0.12,
        strokes=2,
    ),
}


def style_from(style) -> GlyphStyle:
    """Return a :class:`GlyphStyle` from a name, a dict of changes, or itself.

    Args:
        style (str | dict | GlyphStyle): A key of ``STYLES``; or a dict with an
            optional key ``base`` (a key of ``STYLES``, default ``'clean'``)
            and the fields to change.

    Raises:
        ValueError: If the name or a field is unknown.
    """
    if isinstance(style, GlyphStyle):
        return style
    changes = {'base': style} if isinstance(style, str) else dict(style)
    base = changes.pop('base', 'clean')
    if base not in STYLES:
        raise ValueError(
            f'glyph style should be one of {sorted(STYLES)}, but got {base!r}'
        )
    values = dict(STYLES[base].__dict__)
    unknown = sorted(set(changes) - set(values))
    if unknown:
        raise ValueError(
            f'glyph style has no field {unknown}; it has {sorted(values)}'
        )
    return GlyphStyle(**{**values, **changes})


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


def _font_path(face: str) -> str:
    return osp.join(matplotlib.get_data_path(), 'fonts', 'ttf', f'{face}.ttf')


@lru_cache(maxsize=64)
def _characters_of(face: str) -> frozenset:
    return frozenset(map(chr, FT2Font(_font_path(face)).get_charmap()))


def check_faces(faces: Sequence[str], chars: str) -> None:
    """Check that every face is there and holds every character.

    A face draws the same empty box for each character that it lacks.

    Raises:
        ValueError: If a face is unknown or lacks a character.
    """
    for face in faces:
        if not osp.exists(_font_path(face)):
            raise ValueError(
                f'glyph face {face!r} is not among the fonts of Matplotlib in '
                f'{osp.dirname(_font_path(face))}'
            )
        lacking = ''.join(c for c in chars if c not in _characters_of(face))
        if lacking:
            raise ValueError(
                f'glyph face {face!r} lacks the characters '
                f'{lacking!r}; choose other faces for them'
            )


@lru_cache(maxsize=4096)
def _font(face: str, pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(
        _font_path(face), pixels, layout_engine=ImageFont.Layout.BASIC
    )


@lru_cache(maxsize=16384)
def _em_square(char: str, face: str, pixels: int) -> Image.Image:
    """Draw one character, 8-bit, on a square of twice its em size.

    The baseline is fixed, so that 'o' stays smaller and lower than 'O'.
    """
    canvas = Image.new('L', (2 * pixels, 2 * pixels))
    ImageDraw.Draw(canvas).text(
        (pixels, pixels * 1.35),
        char,
        font=_font(face, pixels),
        fill=255,
        anchor='ms',
    )
    return canvas


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * rng.random()


def _placed_mask(
    rng: np.random.Generator,
    char: str,
    face: str,
    style: GlyphStyle,
    size: Tuple[int, int],
    centre: Tuple[float, float],
    em: float,
) -> np.ndarray:
    """Return the ink of one glyph, float32 in [0, 1], with shape (H, W)."""
    # A source of the next power of two keeps the number of cached drawings
    # small and is never enlarged.
    pixels = 16
    while pixels < em:
        pixels *= 2
    source = _em_square(char, face, pixels)
    angle = np.deg2rad(_uniform(rng, -style.rotation, style.rotation))
    zoom = pixels / em
    cos, sin = float(np.cos(angle)) * zoom, float(np.sin(angle)) * zoom
    cx, cy = centre
    height, width = size
    coefficients = (
        cos,
        sin,
        pixels - cos * cx - sin * cy,
        -sin,
        cos,
        pixels + sin * cx - cos * cy,
    )
    mask = source.transform(
        (width, height),
        Image.Transform.AFFINE,
        coefficients,
        Image.Resampling.BILINEAR,
    )
    return np.asarray(mask, dtype=np.float32) / 255


def _smooth_field(
    rng: np.random.Generator, size: Tuple[int, int], cells: int
) -> np.ndarray:
    """Return smooth noise in [-1, 1], float32, with shape (H, W, 3)."""
    coarse = (rng.random((cells, cells, 3)) * 255).astype(np.uint8)
    fine = Image.fromarray(coarse).resize(
        size[::-1], resample=Image.Resampling.BICUBIC
    )
    return np.asarray(fine, dtype=np.float32) / 127.5 - 1


def _colour(
    rng: np.random.Generator, grey: Tuple[float, float], spread: float
) -> np.ndarray:
    level = _uniform(rng, *grey)
    return (level + spread * (2 * rng.random(3) - 1)).astype(np.float32)


def _paper(
    rng: np.random.Generator,
    style: GlyphStyle,
    size: Tuple[int, int],
    grey: Tuple[float, float],
) -> np.ndarray:
    """Return textured paper, float32, with shape (H, W, 3)."""
    cells = 3 + int(rng.random() * 6)
    paper = style.texture * _smooth_field(rng, size, cells)
    return paper + _colour(rng, grey, style.colour)


def _finish(
    rng: np.random.Generator, image: np.ndarray, style: GlyphStyle
) -> np.ndarray:
    """Add the noise of single pixels; return uint8, BGR, (H, W, 3)."""
    noise = rng.random(image.shape, dtype=np.float32) * 2 - 1
    image = image + style.noise * noise
    return np.ascontiguousarray(
        (np.clip(image, 0, 1) * 255).astype(np.uint8)[..., ::-1]
    )


def _greys(rng: np.random.Generator, style: GlyphStyle):
    swapped = rng.random() < style.swap
    return (style.paper, style.ink) if swapped else (style.ink, style.paper)


def render_glyph(
    char: str,
    faces: Sequence[str],
    seed: Sequence[int],
    size: Tuple[int, int] = (48, 48),
    style: GlyphStyle = GlyphStyle(),
) -> np.ndarray:
    """Draw one character.

    Args:
        char (str): The character.
        faces (Sequence[str]): Faces to draw one from.
        seed (Sequence[int]): Seeds of the generator, e.g. (seed, index).
        size (Tuple[int, int]): Height and width in pixels.
            Defaults to (48, 48).
        style (GlyphStyle): How it looks.

    Returns:
        np.ndarray: uint8, BGR, with shape (H, W, 3).
    """
    rng = np.random.default_rng(list(seed))
    height, width = size
    face = faces[int(rng.random() * len(faces))]
    ink, paper = _greys(rng, style)
    image = _paper(rng, style, size, paper)
    em = _uniform(rng, *style.size) * min(size)
    centre = (
        width * (0.5 + _uniform(rng, -style.shift, style.shift)),
        height * (0.5 + _uniform(rng, -style.shift, style.shift)),
    )
    mask = _placed_mask(rng, char, face, style, size, centre, em)
    mask = np.maximum(mask, _stray_strokes(rng, style, size))
    image += mask[..., None] * (_colour(rng, ink, style.colour) - image)
    return _finish(rng, image, style)


def _stray_strokes(
    rng: np.random.Generator, style: GlyphStyle, size: Tuple[int, int]
) -> np.ndarray:
    """Return stray lines of ink, float32 in [0, 1], with shape (H, W)."""
    height, width = size
    canvas = Image.new('L', (width, height))
    draw = ImageDraw.Draw(canvas)
    for _ in range(style.strokes):
        ends = rng.random(4) * np.array([width, height, width, height])
        draw.line([int(v) for v in ends], fill=160, width=1)
    return np.asarray(canvas, dtype=np.float32) / 255


def render_scene(
    chars: str,
    faces: Sequence[str],
    seed: Sequence[int],
    size: Tuple[int, int] = (96, 96),
    style: GlyphStyle = GlyphStyle(),
    num_glyphs: Tuple[int, int] = (2, 4),
    em: Tuple[float, float] = (0.4, 0.65),
):
    """Draw several characters on one piece of paper, with pixel labels.

    The image is divided into a grid of cells; each glyph gets a cell of its
    own, so that it stays recognisable, and later glyphs lie on top.

    Args:
        chars (str): The characters; character ``k`` has label ``k + 2``.
        faces (Sequence[str]): Faces to draw from.
        seed (Sequence[int]): Seeds of the generator, e.g. (seed, index).
        size (Tuple[int, int]): Height and width in pixels.
            Defaults to (96, 96).
        style (GlyphStyle): How it looks; its ``size`` and ``shift`` are not
            used here.
        num_glyphs (Tuple[int, int]): Fewest and most glyphs of a scene.
            Defaults to (2, 4).
        em (Tuple[float, float]): Range of the em size, as a fraction of the
            shorter image side. Defaults to (0.4, 0.65).

    Returns:
        Tuple[np.ndarray, np.ndarray]: The image, uint8, BGR, with shape
        (H, W, 3), and the annotation, uint8, with shape (H, W), in ADE20K's
        convention: 0 is nothing (the half-inked rim of a glyph), 1 the paper,
        2 and more the characters.

    Raises:
        ValueError: If there are more characters than labels.
    """
    if len(chars) > 253:
        raise ValueError(
            'a scene has 253 labels for characters, '
            f'but got {len(chars)} characters'
        )
    rng = np.random.default_rng(list(seed))
    height, width = size
    ink, paper = _greys(rng, style)
    image = _paper(rng, style, size, paper)
    annotation = np.ones(size, dtype=np.uint8)
    count = num_glyphs[0] + int(
        rng.random() * (num_glyphs[1] - num_glyphs[0] + 1)
    )
    columns = int(np.ceil(np.sqrt(count)))
    rows = int(np.ceil(count / columns))
    cells = np.argsort(rng.random(rows * columns), kind='stable')[:count]
    for cell in cells:
        row, column = divmod(int(cell), columns)
        centre = (
            width * (column + _uniform(rng, 0.35, 0.65)) / columns,
            height * (row + _uniform(rng, 0.35, 0.65)) / rows,
        )
        label = int(rng.random() * len(chars))
        face = faces[int(rng.random() * len(faces))]
        pixels = _uniform(rng, *em) * min(size)
        mask = _placed_mask(
            rng, chars[label], face, style, size, centre, pixels
        )
        image += mask[..., None] * (_colour(rng, ink, style.colour) - image)
        annotation[mask > 0.1] = 0
        annotation[mask > 0.5] = label + 2
    return _finish(rng, image, style), annotation
