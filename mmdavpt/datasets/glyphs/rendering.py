"""Draw glyphs and glyph scenes: pure functions of ``(seed, index)``.

The embedded task needs no download: characters are drawn with the fonts that
Matplotlib ships, at random face, size, place, rotation, colours and texture.
Every random number comes from ``numpy.random.Generator.random`` and all
resampling from Pillow, so that the same versions give the same bytes on every
machine.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .alphabets import font_path
from .styles import STYLES, GlyphStyle


@lru_cache(maxsize=4096)
def _font(face: str, pixels: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(
        font_path(face), pixels, layout_engine=ImageFont.Layout.BASIC
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
    size: tuple[int, int],
    centre: tuple[float, float],
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
    rng: np.random.Generator, size: tuple[int, int], cells: int
) -> np.ndarray:
    """Return smooth noise in [-1, 1], float32, with shape (H, W, 3)."""
    coarse = (rng.random((cells, cells, 3)) * 255).astype(np.uint8)
    fine = Image.fromarray(coarse).resize(
        size[::-1], resample=Image.Resampling.BICUBIC
    )
    return np.asarray(fine, dtype=np.float32) / 127.5 - 1


def _colour(
    rng: np.random.Generator, grey: tuple[float, float], spread: float
) -> np.ndarray:
    level = _uniform(rng, *grey)
    return (level + spread * (2 * rng.random(3) - 1)).astype(np.float32)


def _paper(
    rng: np.random.Generator,
    style: GlyphStyle,
    size: tuple[int, int],
    grey: tuple[float, float],
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
    size: tuple[int, int] = (48, 48),
    style: GlyphStyle = STYLES['clean'],
) -> np.ndarray:
    """Draw one character.

    Args:
        char (str): The character.
        faces (Sequence[str]): Faces to draw one from.
        seed (Sequence[int]): Seeds of the generator, e.g. (seed, index).
        size (tuple[int, int]): Height and width in pixels.
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
    rng: np.random.Generator, style: GlyphStyle, size: tuple[int, int]
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
    size: tuple[int, int] = (96, 96),
    style: GlyphStyle = STYLES['clean'],
    num_glyphs: tuple[int, int] = (2, 4),
    em: tuple[float, float] = (0.4, 0.65),
):
    """Draw several characters on one piece of paper, with pixel labels.

    The image is divided into a grid of cells; each glyph gets a cell of its
    own, so that it stays recognisable, and later glyphs lie on top.

    Args:
        chars (str): The characters; character ``k`` has label ``k + 2``.
        faces (Sequence[str]): Faces to draw from.
        seed (Sequence[int]): Seeds of the generator, e.g. (seed, index).
        size (tuple[int, int]): Height and width in pixels.
            Defaults to (96, 96).
        style (GlyphStyle): How it looks; its ``size`` and ``shift`` are not
            used here.
        num_glyphs (tuple[int, int]): Fewest and most glyphs of a scene.
            Defaults to (2, 4).
        em (tuple[float, float]): Range of the em size, as a fraction of the
            shorter image side. Defaults to (0.4, 0.65).

    Returns:
        tuple[np.ndarray, np.ndarray]: The image, uint8, BGR, with shape
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
