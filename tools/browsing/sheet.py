"""Draw samples on a sheet, each with its class or its annotation."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ..visualization.figures import ACCENT, INK, PALE, readable_names
from ..visualization.segmentation import colour_segmentation, legend_patches
from .samples import Sample

#: The most letters in a line above a picture.
LETTERS = 30


def samples_figure(
    samples: Sequence[Sample],
    class_names: Sequence[str] | None = None,
    palette: Sequence[Sequence[int]] | None = None,
    title: str = '',
    ignore_index: int = 255,
    columns: int = 8,
    side: float = 1.9,
) -> Figure:
    """Draw samples in rows, each with its class or its annotation.

    The region of the class that guides a sample is outlined.

    Args:
        samples (Sequence[Sample]): At least one.
        class_names (Sequence[str], optional): The name of each class.
            Defaults to None: its number.
        palette (Sequence[Sequence[int]], optional): RGB colour of each class,
            (K, 3); for annotations. Defaults to None.
        title (str): The title of the sheet. Defaults to ''.
        ignore_index (int): The label of pixels without a class.
            Defaults to 255.
        columns (int): The most pictures in a row. Defaults to 8.
        side (float): Width of a picture in inches. Defaults to 1.9.

    Returns:
        Figure: With a legend of the annotated classes, the largest first.

    Raises:
        ValueError: If there is no palette for annotations, or a label is out
            of range.
    """
    panels = 1 if samples[0].annotation is None else 2
    if class_names is None:
        labels = [s.label for s in samples if s.label is not None]
        number = len(palette) if panels == 2 else max(labels, default=-1) + 1
        class_names = range(number)
    names, families = readable_names([_shorten(str(n)) for n in class_names])
    per_row = min(len(samples), max(1, columns // panels))
    rows = -(-len(samples) // per_row)
    shapes = [sample.image.shape for sample in samples]
    height = side * min(np.median([h / w for h, w, _ in shapes]), 2)
    with rc_context({'font.family': families, 'font.size': 8}):
        figure = Figure(
            figsize=(
                max(per_row * panels * (side + 0.1), 4),
                rows * (height + 0.6) + 1,
            ),
            layout='constrained',
        )
        axes = figure.subplots(rows, per_row * panels, squeeze=False)
        for ax in axes.flat:
            ax.set_axis_off()
        for own, sample in zip(
            axes.reshape(-1, panels), samples, strict=False
        ):
            _draw_sample(own, sample, names, palette, ignore_index)
        figure.suptitle(title, size=10, wrap=True)
        if panels == 2:
            patches = legend_patches(
                _labels_by_area(samples), names, palette, ignore_index
            )
            figure.legend(
                handles=patches,
                loc='outside lower center',
                ncols=max(1, int(figure.get_figwidth() / 2.2)),
                frameon=False,
            )
    return figure


def _draw_sample(
    axes: Sequence[Axes],
    sample: Sample,
    names: Sequence[str],
    palette: Sequence[Sequence[int]] | None,
    ignore_index: int,
) -> None:
    height, width = sample.image.shape[:2]
    file = _shorten(f'{sample.index}: {sample.name}'.removesuffix(': '))
    text, colour = _caption(sample, names)
    axes[0].set_title(
        f'{text}\n{file}\n{width}×{height}',
        loc='left',
        size=7,
        color=colour,
        parse_math=False,
    )
    axes[0].imshow(sample.image)
    if sample.annotation is not None:
        annotation = resize_labels(sample.annotation, (height, width))
        axes[1].imshow(
            overlay(sample.image, annotation, palette, ignore_index)
        )
        if sample.guidance_label is not None and sample.guidance_label >= 0:
            _outline(axes[1], annotation == sample.guidance_label)


def _caption(sample: Sample, names: Sequence[str]) -> tuple[str, str]:
    """Return the text and the colour of a sample's caption."""
    guide = sample.guidance_label
    known = sample.label if sample.annotation is None else guide
    if known is None:
        return ('no label' if sample.annotation is None else ''), PALE
    if known == -1:
        return 'no guidance', PALE
    if not 0 <= known < len(names):
        raise ValueError(
            f'labels should lie in [0, {len(names)}), the number of class '
            f'names, but got {known}'
        )
    if sample.annotation is None:
        return names[known], INK
    return f'guidance: {names[known]}', ACCENT


def _shorten(text: str) -> str:
    """Cut a long text in its middle."""
    if len(text) <= LETTERS:
        return text
    half = (LETTERS - 1) // 2
    return f'{text[:half]}…{text[-half:]}'


def overlay(
    image: np.ndarray,
    annotation: np.ndarray,
    palette: Sequence[Sequence[int]],
    ignore_index: int = 255,
    opacity: float = 0.7,
) -> np.ndarray:
    """Draw the colours of an annotation over a grey version of the image.

    Args:
        image (np.ndarray): uint8, RGB, (H, W, 3).
        annotation (np.ndarray): Classes, (H, W).
        palette (Sequence[Sequence[int]]): RGB colour of each class, (K, 3).
        ignore_index (int): The label of pixels without a class.
            Defaults to 255.
        opacity (float): Of the colours. Defaults to 0.7.

    Returns:
        np.ndarray: uint8, RGB, (H, W, 3).
    """
    grey = image.mean(axis=2, keepdims=True)
    colours = colour_segmentation(annotation, palette, ignore_index)
    return (opacity * colours + (1 - opacity) * grey).round().astype(np.uint8)


def resize_labels(annotation: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an annotation to (height, width) without mixing labels."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(size, annotation.shape, strict=True)
    )
    return annotation[rows[:, None], columns]


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


def _labels_by_area(samples: Sequence[Sample]) -> list[int]:
    areas: dict[int, float] = {}
    for sample in samples:
        found = np.unique(sample.annotation, return_counts=True)
        for k, count in zip(*found, strict=True):
            share = count / sample.annotation.size
            areas[int(k)] = areas.get(int(k), 0.0) + share
    return sorted(areas, key=lambda k: (-areas[k], k))
