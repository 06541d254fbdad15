"""Draw glyphs and glyph scenes: pure functions of ``(seed, index)``.

Characters are drawn with Matplotlib's fonts, at random face, size, position,
rotation, colors and texture. Every random number comes from
``numpy.random.Generator.random`` and all resampling from Pillow, so the same
versions give the same bytes on every machine.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .alphabets import font_path
from .styles import STYLES, GlyphStyle

#: Fewest and most glyphs of a scene, and the range of their em size, as a
#: fraction of the shorter image side.
SCENE_GLYPHS = (2, 4)
SCENE_EM = (0.4, 0.65)


@lru_cache(maxsize=4096)
def _font(face: str, pixels: int) -> ImageFont.FreeTypeFont:
    engine = ImageFont.Layout.BASIC
    return ImageFont.truetype(font_path(face), pixels, layout_engine=engine)


@lru_cache(maxsize=16384)
def _em_square(char: str, face: str, pixels: int) -> Image.Image:
    """Draw one character, 8-bit, on a square of twice its em size.

    The baseline is fixed, so 'o' stays smaller and lower than 'O'.
    """
    canvas, place = Image.new('L', (2 * pixels, 2 * pixels)), pixels * 1.35
    style = dict(font=_font(face, pixels), fill=255, anchor='ms')
    ImageDraw.Draw(canvas).text((pixels, place), char, **style)
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
    # Drawing at the next power of two keeps the cache small and never
    # enlarges a drawing.
    pixels = 16
    while pixels < em:
        pixels *= 2
    source = _em_square(char, face, pixels)
    angle = np.deg2rad(_uniform(rng, -style.rotation, style.rotation))
    zoom = pixels / em
    cos, sin = float(np.cos(angle)) * zoom, float(np.sin(angle)) * zoom
    cx, cy = centre
    first = (cos, sin, pixels - cos * cx - sin * cy)
    second = (-sin, cos, pixels + sin * cx - cos * cy)
    kind, mode = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    mask = source.transform(size[::-1], kind, (*first, *second), mode)
    return np.asarray(mask, dtype=np.float32) / 255


def _smooth_field(
    rng: np.random.Generator, size: tuple[int, int], cells: int
) -> np.ndarray:
    """Return smooth noise in [-1, 1], float32, with shape (H, W, 3)."""
    coarse = (rng.random((cells, cells, 3)) * 255).astype(np.uint8)
    mode = Image.Resampling.BICUBIC
    fine = Image.fromarray(coarse).resize(size[::-1], resample=mode)
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
    image = np.clip(image + style.noise * noise, 0, 1) * 255
    return np.ascontiguousarray(image.astype(np.uint8)[..., ::-1])


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
        style (GlyphStyle): Style. Defaults to that named 'clean'.

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


def _grid_cells(rng: np.random.Generator) -> tuple[int, int, list[tuple]]:
    """Return the rows and columns of a grid, and a cell for each glyph."""
    fewest, most = SCENE_GLYPHS
    count = fewest + int(rng.random() * (most - fewest + 1))
    columns = int(np.ceil(np.sqrt(count)))
    rows = int(np.ceil(count / columns))
    cells = np.argsort(rng.random(rows * columns), kind='stable')[:count]
    return rows, columns, [divmod(int(cell), columns) for cell in cells]


def render_scene(
    chars: str,
    faces: Sequence[str],
    seed: Sequence[int],
    size: tuple[int, int] = (96, 96),
    style: GlyphStyle = STYLES['clean'],
) -> tuple[np.ndarray, np.ndarray]:
    """Draw several characters on one background, with pixel labels.

    Each glyph gets its own cell of a grid, so it stays legible; later glyphs
    cover earlier ones.

    Args:
        chars (str): The characters; character ``k`` has label ``k + 2``.
        faces (Sequence[str]): Faces to draw from.
        seed (Sequence[int]): Seeds of the generator, e.g. (seed, index).
        size (tuple[int, int]): Height and width in pixels.
            Defaults to (96, 96).
        style (GlyphStyle): Style, without its ``size`` and ``shift``.

    Returns:
        tuple[np.ndarray, np.ndarray]: The image, uint8, BGR, with shape
        (H, W, 3), and the annotation, uint8, with shape (H, W), in ADE20K's
        convention: 0 is nothing (the half-inked edge of a glyph), 1 the
        paper, 2 and more the characters.
    """
    rng = np.random.default_rng(list(seed))
    height, width = size
    ink, paper = _greys(rng, style)
    image = _paper(rng, style, size, paper)
    annotation = np.ones(size, dtype=np.uint8)
    rows, columns, cells = _grid_cells(rng)
    for row, column in cells:
        centre = (
            width * (column + _uniform(rng, 0.35, 0.65)) / columns,
            height * (row + _uniform(rng, 0.35, 0.65)) / rows,
        )
        label = int(rng.random() * len(chars))
        face = faces[int(rng.random() * len(faces))]
        em = _uniform(rng, *SCENE_EM) * min(size)
        mask = _placed_mask(rng, chars[label], face, style, size, centre, em)
        image += mask[..., None] * (_colour(rng, ink, style.colour) - image)
        annotation[mask > 0.1] = 0
        annotation[mask > 0.5] = label + 2
    return _finish(rng, image, style), annotation
