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


class _Painter:
    """Draws the parts of one image, with its own random numbers."""

    def __init__(
        self, seed: Sequence[int], size: tuple[int, int], style: GlyphStyle
    ) -> None:
        self.rng = np.random.default_rng(list(seed))
        self.size, self.style = tuple(size), style

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def choice(self, items: Sequence[str]) -> int:
        return int(self.rng.random() * len(items))

    def greys(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the ranges of gray levels of ink and of paper."""
        ink, paper = self.style.ink, self.style.paper
        swapped = self.rng.random() < self.style.swap
        return (paper, ink) if swapped else (ink, paper)

    def colour(self, grey: tuple[float, float]) -> np.ndarray:
        level, spread = self.uniform(*grey), self.style.colour
        random = 2 * self.rng.random(3) - 1
        return (level + spread * random).astype(np.float32)

    def paper(self, grey: tuple[float, float]) -> np.ndarray:
        """Return textured paper, float32, with shape (H, W, 3)."""
        cells = 3 + int(self.rng.random() * 6)
        # Smooth noise in [-1, 1].
        coarse = (self.rng.random((cells, cells, 3)) * 255).astype(np.uint8)
        mode = Image.Resampling.BICUBIC
        fine = Image.fromarray(coarse).resize(self.size[::-1], resample=mode)
        noise = np.asarray(fine, dtype=np.float32) / 127.5 - 1
        return self.style.texture * noise + self.colour(grey)

    def glyph(
        self, char: str, face: str, centre: tuple[float, float], em: float
    ) -> np.ndarray:
        """Return the ink of one glyph, float32 in [0, 1], shape (H, W)."""
        # Drawing at the next power of two keeps the cache small and never
        # enlarges a drawing.
        pixels = 16
        while pixels < em:
            pixels *= 2
        source, most = _em_square(char, face, pixels), self.style.rotation
        angle = np.deg2rad(self.uniform(-most, most))
        zoom = pixels / em
        cos, sin = float(np.cos(angle)) * zoom, float(np.sin(angle)) * zoom
        cx, cy = centre
        first = (cos, sin, pixels - cos * cx - sin * cy)
        second = (-sin, cos, pixels + sin * cx - cos * cy)
        kind, mode = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        mask = source.transform(self.size[::-1], kind, first + second, mode)
        return np.asarray(mask, dtype=np.float32) / 255

    def stray_strokes(self) -> np.ndarray:
        """Return stray lines of ink, float32 in [0, 1], shape (H, W)."""
        canvas = Image.new('L', self.size[::-1])
        draw = ImageDraw.Draw(canvas)
        for _ in range(self.style.strokes):
            ends = self.rng.random(4) * np.array(2 * self.size[::-1])
            draw.line([int(v) for v in ends], fill=160, width=1)
        return np.asarray(canvas, dtype=np.float32) / 255

    def add_ink(
        self, image: np.ndarray, mask: np.ndarray, grey: tuple[float, float]
    ) -> None:
        image += mask[..., None] * (self.colour(grey) - image)

    def finish(self, image: np.ndarray) -> np.ndarray:
        """Add the noise of single pixels; return uint8, BGR, (H, W, 3)."""
        noise = self.rng.random(image.shape, dtype=np.float32) * 2 - 1
        image = np.clip(image + self.style.noise * noise, 0, 1) * 255
        return np.ascontiguousarray(image.astype(np.uint8)[..., ::-1])

    def grid_cells(self) -> tuple[int, int, list[tuple]]:
        """Return the rows and columns of a grid, and a cell per glyph."""
        fewest, most = SCENE_GLYPHS
        count = fewest + int(self.rng.random() * (most - fewest + 1))
        columns = int(np.ceil(np.sqrt(count)))
        rows = int(np.ceil(count / columns))
        order = np.argsort(self.rng.random(rows * columns), kind='stable')
        cells = [divmod(int(cell), columns) for cell in order[:count]]
        return rows, columns, cells


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
    painter = _Painter(seed, size, style)
    height, width = size
    face = faces[painter.choice(faces)]
    ink, paper = painter.greys()
    image = painter.paper(paper)
    em = painter.uniform(*style.size) * min(size)
    x = width * (0.5 + painter.uniform(-style.shift, style.shift))
    y = height * (0.5 + painter.uniform(-style.shift, style.shift))
    mask = painter.glyph(char, face, (x, y), em)
    mask = np.maximum(mask, painter.stray_strokes())
    painter.add_ink(image, mask, ink)
    return painter.finish(image)


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
    painter = _Painter(seed, size, style)
    height, width = size
    ink, paper = painter.greys()
    image = painter.paper(paper)
    annotation = np.ones(size, dtype=np.uint8)
    rows, columns, cells = painter.grid_cells()
    for row, column in cells:
        x = width * (column + painter.uniform(0.35, 0.65)) / columns
        y = height * (row + painter.uniform(0.35, 0.65)) / rows
        label = painter.choice(chars)
        face = faces[painter.choice(faces)]
        em = painter.uniform(*SCENE_EM) * min(size)
        mask = painter.glyph(chars[label], face, (x, y), em)
        painter.add_ink(image, mask, ink)
        annotation[mask > 0.1] = 0
        annotation[mask > 0.5] = label + 2
    return painter.finish(image), annotation
