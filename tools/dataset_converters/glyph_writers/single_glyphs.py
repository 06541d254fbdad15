"""Write images of single glyphs, as many classes as a data set has."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from mmdavpt.datasets.glyphs.alphabets import ALPHABETS
from mmdavpt.datasets.glyphs.dataset import check_integers, faces_from
from mmdavpt.datasets.glyphs.rendering import render_glyph
from mmdavpt.datasets.glyphs.styles import GlyphStyle, style_from

from .split_folder import (
    SplitFolder,
    check_img_suffix,
    save_pixels,
    style_settings,
    write_split,
)

#: The file that says what the glyphs of a folder were drawn with.
SETTINGS_FILE = 'glyphs.json'
#: Letters in the order in which classes take them.
LETTERS = ALPHABETS['letters']


@dataclass(frozen=True)
class GlyphClass:
    """A class of single glyphs.

    Attributes:
        name (str): The letter, and 'inverted' for the second class of one.
        char (str): The letter.
        style (GlyphStyle): How it looks.
    """

    name: str
    char: str
    style: GlyphStyle


@dataclass(frozen=True)
class GlyphOptions:
    """How the glyphs of a data set are drawn and written.

    Attributes:
        seed (int): Seed of the images. Defaults to 0.
        size (int): Height and width in pixels. Defaults to 48.
        style (str | dict): See :func:`.style_from`. Defaults to 'clean'.
        img_suffix (str): '.png' (lossless) or '.jpg' (quality 95).
            Defaults to '.png'.
        num_workers (int): Processes that draw; 0 draws in this one.
            Defaults to 0.

    Raises:
        ValueError: If a value is out of its range.
    """

    seed: int = 0
    size: int = 48
    style: str | dict = 'clean'
    img_suffix: str = '.png'
    num_workers: int = 0

    def __post_init__(self) -> None:
        check_img_suffix(self.img_suffix)
        check_integers(0, seed=self.seed, num_workers=self.num_workers)
        check_integers(16, size=self.size)
        style_from(self.style)


def glyph_classes(
    num_classes: int, style: str | dict = 'clean'
) -> list[GlyphClass]:
    """Return classes of single glyphs.

    Each is a letter; when the letters are used up, the same ones follow with
    ink and paper exchanged.

    Args:
        num_classes (int): How many classes.
        style (str | dict): See :func:`.style_from`. Defaults to 'clean'.

    Raises:
        ValueError: If there are not as many, or if dark and light cannot be
            told in this style and so many classes need it.
    """
    check_integers(1, num_classes=num_classes)
    style = style_from(style)
    if num_classes <= len(LETTERS):
        return [GlyphClass(c, c, style) for c in LETTERS[:num_classes]]
    if num_classes > 2 * len(LETTERS):
        raise ValueError(
            f'glyphs have at most {2 * len(LETTERS)} classes, '
            f'but got {num_classes}'
        )
    if style.ink[1] >= style.paper[0] or style.swap not in (0, 1):
        raise ValueError(
            f'{num_classes} classes are more than the {len(LETTERS)} letters, '
            'so light ink on dark paper makes further classes; choose a style '
            'that is always of one kind, such as "clean"'
        )
    turned = style_from({**vars(style), 'swap': 1 - style.swap})
    classes = [GlyphClass(c, c, style) for c in LETTERS]
    classes += [GlyphClass(f'{c} inverted', c, turned) for c in LETTERS]
    return classes[:num_classes]


def write_glyphs(
    target: SplitFolder,
    num_images: int,
    classes: Sequence[GlyphClass],
    faces: str,
    options: GlyphOptions,
    seed: int,
    start: int = 0,
    list_lines: list[str] | None = None,
) -> int:
    """Write images of single glyphs into the folder of a split.

    Image ``i`` is of class ``(start + i) % K`` and depends on ``(seed, start
    + i)`` alone.

    Args:
        target (SplitFolder): Where they go.
        num_images (int): How many there should be.
        classes (Sequence[GlyphClass]): The classes.
        faces (str): A name out of ``FACES``.
        options (GlyphOptions): How they are drawn; the seed is not used.
        seed (int): Seed of the images of this split.
        start (int): Number of the first image. Defaults to 0.
        list_lines (list[str], optional): See :func:`.write_split`.

    Returns:
        int: The number of images drawn now.

    Raises:
        ValueError: If the folder holds something else.
    """
    check_integers(1, **{f'the number of {target.split} images': num_images})
    faces = faces_from(faces, ''.join(sorted({c.char for c in classes})))
    return write_split(
        target,
        num_images,
        dict(
            seed=seed,
            start=start,
            num_classes=len(classes),
            faces=list(faces),
            size=options.size,
            style=style_settings(style_from(options.style)),
            img_suffix=options.img_suffix,
        ),
        partial(
            _write_glyph, target, classes, faces, seed, start, options.size
        ),
        options.num_workers,
        list_lines,
    )


def _write_glyph(
    target: SplitFolder,
    classes: Sequence[GlyphClass],
    faces: Sequence[str],
    seed: int,
    start: int,
    size: int,
    index: int,
) -> None:
    each = classes[(start + index) % len(classes)]
    image = render_glyph(
        each.char, faces, (seed, start + index), (size, size), each.style
    )
    save_pixels(target.path(0, index), image)
