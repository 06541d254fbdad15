"""Samples of a dataset side by side, with the class that guides each."""

from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from .figures import ACCENT, INK, PALE, shorten, text_width, wrap
from .page import Page
from .samples import Sample, nearest, overlay
from .segmentation import class_patch, ignored_patch

# In inches, and in points.
_GAP, _SEAM, _EDGE, _LINE = 0.2, 0.04, 0.2, 0.165
# Of the page, so that its title has a place.
_LEAST = 3.2
_HEADING, _TITLE, _SMALL = 11.0, 9.5, 7.5


def samples_figure(
    samples: Sequence[Sample],
    class_names: Optional[Sequence[str]] = None,
    palette: Optional[Sequence[Sequence[int]]] = None,
    title: str = '',
    ignore_index: int = 255,
    width: float = 17.0,
    side: float = 1.9,
) -> Figure:
    """Lay out samples in rows, each with its class and its annotation.

    The region of the class that guides a sample is outlined.

    Args:
        samples (Sequence[Sample]): At least one.
        class_names (Sequence[str], optional): The name of each class.
            Defaults to None: its number.
        palette (Sequence[Sequence[int]], optional): RGB colour of each class,
            (K, 3); for annotations. Defaults to None.
        title (str): Above all samples. Defaults to ''.
        ignore_index (int): The label of pixels without a class.
            Defaults to 255.
        width (float): Of the figure at most, in inches. Defaults to 17.0.
        side (float): Of a square image, in inches; others have its area.
            Defaults to 1.9.

    Returns:
        Figure: With a legend of the classes in the annotations, the largest
        first.

    Raises:
        ValueError: If there is no sample, an annotation but no palette of as
            many colours as names, or a label out of their range.
    """
    if not samples:
        raise ValueError('at least one sample is needed, but got none')
    annotated = any(sample.annotation is not None for sample in samples)
    if annotated:
        class_names = _names_of_colours(class_names, palette)
    box = _box(samples, side)
    cell = 2 * box[0] + _SEAM if annotated else box[0]
    columns = max(1, int((width - 2 * _EDGE + _GAP) / (cell + _GAP)))
    columns = _balanced(len(samples), columns)
    inner = max(columns * (cell + _GAP) - _GAP, _LEAST)
    texts = [_lines(sample, class_names, cell) for sample in samples]
    rows = [slice(i, i + columns) for i in range(0, len(samples), columns)]
    heads = [(max(map(len, texts[row])) + 0.15) * _LINE for row in rows]
    heading = wrap(title, inner, _HEADING, lines=3) if title else []
    top = _EDGE + 0.21 * len(heading) + (0.1 if heading else 0)
    handles = _legend(samples, class_names, palette, ignore_index)
    keys, legend = _legend_size(handles, inner)
    height = top + sum(heads) + len(rows) * (box[1] + _GAP) + legend

    page = Page(inner + 2 * _EDGE, height)
    for i, line in enumerate(heading):
        page.write((_EDGE, _EDGE + 0.21 * i), line, _HEADING)
    for row, head in zip(rows, heads, strict=True):
        top += head
        for i, sample in enumerate(samples[row]):
            place = _EDGE + i * (cell + _GAP), top
            _write_lines(page, place, texts[row][i])
            _draw(page, place, box, sample, palette, ignore_index)
        top += box[1] + _GAP
    if handles:
        page.figure.legend(
            handles=handles,
            loc='lower left',
            bbox_to_anchor=(_EDGE / page.size[0], 0.1 / page.size[1]),
            borderaxespad=0,
            borderpad=0,
            ncols=keys,
            frameon=False,
            fontsize=_TITLE - 1,
            handlelength=1.2,
            columnspacing=1.2,
        )
    return page.figure


def _names_of_colours(
    class_names: Optional[Sequence[str]],
    palette: Optional[Sequence[Sequence[int]]],
) -> Sequence[str]:
    """Return as many names as colours, checked."""
    if palette is None:
        raise ValueError('annotations need a palette, but got None')
    if class_names is None:
        return [str(k) for k in range(len(palette))]
    if len(class_names) != len(palette):
        raise ValueError(
            f'{len(class_names)} class names need as many colours, but got '
            f'{len(palette)}'
        )
    return class_names


def _box(samples: Sequence[Sample], side: float) -> Tuple[float, float]:
    """Return width and height for a picture that most of them fill well."""
    aspects = [s.image.shape[1] / s.image.shape[0] for s in samples]
    aspect = min(max(float(np.median(aspects)), 0.5), 2.0)
    return side * aspect**0.5, side / aspect**0.5


def _balanced(number: int, columns: int) -> int:
    """Return how many columns fill as many rows most evenly."""
    rows = -(-number // columns)
    return -(-number // rows)


def _name(k: int, class_names: Optional[Sequence[str]]) -> str:
    if class_names is None:
        return str(k)
    if not 0 <= k < len(class_names):
        raise ValueError(
            f'labels should lie in [0, {len(class_names)}), the number of '
            f'class names, but got {k}'
        )
    return str(class_names[k])


def _lines(
    sample: Sample, class_names: Optional[Sequence[str]], width: float
) -> List[Tuple[str, float, str]]:
    """Return what stands above a sample: text, points and colour."""
    guide = sample.guidance_label
    if sample.annotation is None:
        named = sample.label is not None
        text = _name(sample.label, class_names) if named else 'no label'
        colour = INK if named else PALE
    elif guide is None:
        text, colour = '', INK
    elif guide < 0:
        text, colour = 'no guidance', PALE
    else:
        text, colour = f'guidance: {_name(guide, class_names)}', ACCENT
    size = f'  {sample.image.shape[1]}×{sample.image.shape[0]}'
    file = f'{sample.index}: {sample.name}' if sample.name else sample.index
    file = shorten(str(file), width - text_width(size, _SMALL), _SMALL)
    lines = wrap(text, width, _TITLE, lines=2) if text else []
    return [
        *((line, _TITLE, colour) for line in lines),
        (file + size, _SMALL, PALE),
    ]


def _write_lines(
    page: Page,
    place: Tuple[float, float],
    lines: Sequence[Tuple[str, float, str]],
) -> None:
    """Write the lines of a sample so that they end above its place."""
    for i, (text, points, colour) in enumerate(reversed(lines)):
        above = place[1] - (i + 1.15) * _LINE
        page.write((place[0], above), text, points, colour)


def _draw(
    page: Page,
    place: Tuple[float, float],
    box: Tuple[float, float],
    sample: Sample,
    palette: Optional[Sequence[Sequence[int]]],
    ignore_index: int,
) -> None:
    """Draw an image, as large as the box allows, and its annotation."""
    height, width = sample.image.shape[:2]
    scale = min(box[0] / width, box[1] / height)
    size = width * scale, height * scale
    page.picture(place, size).imshow(sample.image)
    if sample.annotation is None:
        return
    axes = page.picture((place[0] + size[0] + _SEAM, place[1]), size)
    annotation = nearest(sample.annotation, (height, width))
    axes.imshow(overlay(sample.image, annotation, palette, ignore_index))
    if sample.guidance_label is not None and sample.guidance_label >= 0:
        _outline(axes, annotation == sample.guidance_label)


def _outline(axes: Axes, region: np.ndarray) -> None:
    """Outline a region, also where it meets the border of the picture."""
    height, width = region.shape
    limits = dict(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    lines = axes.contour(
        np.arange(-1, width + 1),
        np.arange(-1, height + 1),
        np.pad(region.astype(float), 1),  # closes it at the border
        levels=[0.5],
        colors=[ACCENT],
        linewidths=1.3,
    )
    lines.set_path_effects([withStroke(linewidth=2.6, foreground='white')])
    lines.set_clip_on(False)
    axes.set(**limits)


def _legend(
    samples: Sequence[Sample],
    class_names: Optional[Sequence[str]],
    palette: Optional[Sequence[Sequence[int]]],
    ignore_index: int,
) -> List[Patch]:
    """Return the keys of the classes that are annotated, by their area."""
    areas: Dict[int, float] = {}
    for sample in samples:
        if sample.annotation is not None:
            found = np.unique(sample.annotation, return_counts=True)
            for k, count in zip(*found, strict=True):
                share = count / sample.annotation.size
                areas[int(k)] = areas.get(int(k), 0.0) + share
    ignored = areas.pop(ignore_index, None)
    handles = [
        class_patch(
            shorten(_name(k, class_names), 2.0, _TITLE - 1), palette[k]
        )
        for k in sorted(areas, key=lambda k: (-areas[k], k))
    ]
    return handles if ignored is None else [*handles, ignored_patch()]


def _legend_size(handles: Sequence[Patch], inner: float) -> Tuple[int, float]:
    """Return the columns of a legend, and its height in inches."""
    if not handles:
        return 1, 0.0
    widest = max(text_width(h.get_label(), _TITLE - 1) for h in handles)
    columns = _balanced(len(handles), max(1, int(inner / (widest + 0.5))))
    return columns, 0.2 + 0.18 * -(-len(handles) // columns)
