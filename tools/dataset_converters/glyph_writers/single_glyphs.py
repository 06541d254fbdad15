"""Write images of single glyphs with the number of classes of a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from mmdavpt.datasets.glyphs.alphabets import faces_from
from mmdavpt.datasets.glyphs.rendering import render_glyph
from mmdavpt.datasets.glyphs.styles import GlyphStyle, style_from

from .arguments import LETTERS, check_integers
from .split_folder import (
    SplitFolder,
    check_img_suffix,
    save_pixels,
    style_settings,
    write_split,
)

#: The file that records how the glyphs of a folder were drawn.
SETTINGS_FILE = 'glyphs.json'


@dataclass(frozen=True)
class GlyphClass:
    """A class of single glyphs.

    Attributes:
        name (str): The letter, and 'inverted' if it is light on dark.
        char (str): The letter.
        style (GlyphStyle): Its style.
    """

    name: str
    char: str
    style: GlyphStyle


@dataclass(frozen=True)
class GlyphOptions:
    """Options for drawing and writing the glyphs of a dataset.

    Attributes:
        seed (int): Seed of the images. Defaults to 0.
        size (int): Height and width in pixels. Defaults to 48.
        style (str | dict): See :func:`.style_from`. Defaults to 'clean'.
        img_suffix (str): '.png' (lossless) or '.jpg' (quality 95).
            Defaults to '.png'.
        num_workers (int): Number of processes; 0 uses this process.
            Defaults to 0.

    Raises:
        ValueError: If a value is out of range.
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

    Each class is a letter. More classes than letters are the same letters
    with ink and paper swapped.

    Args:
        num_classes (int): Number of classes.
        style (str | dict): See :func:`.style_from`. Defaults to 'clean'.

    Raises:
        ValueError: If there are too many classes, or if they need swapped
            letters and the style does not separate dark and light.
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
            'so the others are light on dark; choose a style with a fixed '
            'order of ink and paper, such as "clean"'
        )
    inverted = style_from({**vars(style), 'swap': 1 - style.swap})
    classes = [GlyphClass(c, c, style) for c in LETTERS]
    classes += [GlyphClass(f'{c} inverted', c, inverted) for c in LETTERS]
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

    Image ``i`` has class ``(start + i) % K`` and depends only on ``(seed,
    start + i)``.

    Args:
        target (SplitFolder): Where to write them.
        num_images (int): Number of images.
        classes (Sequence[GlyphClass]): The classes.
        faces (str): A key of ``FACES``.
        options (GlyphOptions): How to draw them; its seed is not used.
        seed (int): Seed of the images of this split.
        start (int): Number of the first image. Defaults to 0.
        list_lines (list[str], optional): See :func:`.write_split`.

    Returns:
        int: Number of images drawn by this call.

    Raises:
        ValueError: If the folder holds other files.
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
