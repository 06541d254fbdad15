"""Segmentations beside the images and the ground truth."""

from typing import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .figures import INK, PALE, save_figure

_GREY, _WHITE = (150, 150, 150), (255, 255, 255)


def colour_segmentation(
    segmentation: np.ndarray,
    palette: Sequence[Sequence[int]],
    ignore_index: int = 255,
) -> np.ndarray:
    """Return a segmentation in colours; ignored pixels are hatched grey.

    Args:
        segmentation (np.ndarray): Class of each pixel, with shape (H, W).
        palette (Sequence[Sequence[int]]): RGB colour of each class, (K, 3).
        ignore_index (int): The label of pixels without a class.
            Defaults to 255.

    Returns:
        np.ndarray: uint8, RGB, with shape (H, W, 3).

    Raises:
        ValueError: If the segmentation is not (H, W), or a label has no
            colour.
    """
    segmentation = np.asarray(segmentation)
    if segmentation.ndim != 2:
        raise ValueError(
            'a segmentation should have the shape (H, W), but '
            f'got {segmentation.shape}'
        )
    colours = np.asarray(palette, dtype=np.uint8).reshape(-1, 3)
    ignored = segmentation == ignore_index
    labels = np.where(ignored, 0, segmentation).astype(np.int64)
    if labels.size and not 0 <= labels.min() <= labels.max() < len(colours):
        wrong = sorted(set(labels[(labels < 0) | (labels >= len(colours))]))
        raise ValueError(
            f'labels should lie in [0, {len(colours)}), the length of the '
            f'palette, or be {ignore_index} (ignored), but got '
            f'{[int(k) for k in wrong[:10]]}'
        )
    picture = colours[labels]
    rows, columns = np.indices(segmentation.shape)
    stripe = (rows + columns) % 4 == 0
    picture[ignored] = np.where(stripe[..., None], _WHITE, _GREY)[ignored]
    return picture.astype(np.uint8)


def predictions_figure(
    images: Sequence[np.ndarray],
    ground_truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    ignore_index: int = 255,
    columns: int = 6,
) -> Figure:
    """Lay out images, ground truths and predictions, one below the other.

    Args:
        images (Sequence[np.ndarray]): uint8, RGB, each (H, W, 3).
        ground_truths (Sequence[np.ndarray]): Classes, each (H, W).
        predictions (Sequence[np.ndarray]): Classes, each (H, W).
        class_names (Sequence[str]): The name of each class.
        palette (Sequence[Sequence[int]]): RGB colour of each class, (K, 3).
        ignore_index (int): The label of pixels without a class.
            Defaults to 255.
        columns (int): Most samples beside each other. Defaults to 6.

    Returns:
        Figure: With a legend of the classes that are to be seen.

    Raises:
        ValueError: If the numbers of samples, or of names and colours, do not
            agree, or there is nothing to draw.
    """
    number = len(images)
    if not number or {len(ground_truths), len(predictions)} != {number}:
        raise ValueError(
            'images, ground truths and predictions should be equally many and '
            f'at least one, but got {number}, {len(ground_truths)} and '
            f'{len(predictions)}'
        )
    if len(class_names) != len(palette):
        raise ValueError(
            f'{len(class_names)} class names need as many '
            f'colours, but got {len(palette)}'
        )
    blocks = -(-number // columns)
    columns = -(-number // blocks)
    height, width = np.shape(images[0])[:2]
    cell = 1.9 / max(height, width)
    present = _labels_in(*ground_truths, *predictions)
    handles = _legend_handles(present, class_names, palette, ignore_index)
    legend_columns = max(1, min(len(handles), int(columns * 1.9)))
    legend_height = 0.3 + 0.24 * -(-len(handles) // legend_columns)

    figure = Figure(
        figsize=(
            0.9 + columns * width * cell,
            legend_height + 3.15 * blocks * height * cell,
        ),
        layout='constrained',
    )
    axes = figure.subplots(3 * blocks, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for i in range(number):
        block, column = divmod(i, columns)
        pictures = (
            np.asarray(images[i], dtype=np.uint8),
            colour_segmentation(ground_truths[i], palette, ignore_index),
            colour_segmentation(predictions[i], palette, ignore_index),
        )
        for row, picture in enumerate(pictures):
            axes[3 * block + row, column].imshow(
                picture, interpolation='nearest'
            )
    for row, name in enumerate(
        ('image', 'ground truth', 'prediction') * blocks
    ):
        axes[row, 0].text(
            -0.06,
            0.5,
            name,
            rotation=90,
            ha='right',
            va='center',
            color=INK,
            transform=axes[row, 0].transAxes,
        )
    figure.legend(
        handles=handles,
        loc='outside lower center',
        ncols=legend_columns,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
    )
    return figure


def draw_predictions(
    images: Sequence[np.ndarray],
    ground_truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    path: str,
    ignore_index: int = 255,
) -> None:
    """Draw :func:`predictions_figure` into the file ``path``."""
    save_figure(
        predictions_figure(
            images,
            ground_truths,
            predictions,
            class_names,
            palette,
            ignore_index,
        ),
        path,
    )


def _labels_in(*segmentations: np.ndarray) -> Sequence[int]:
    return sorted({int(k) for s in segmentations for k in np.unique(s)})


def class_patch(name: str, colour: Sequence[int]) -> Patch:
    """Return the key of a class in a legend.

    Args:
        name (str): The name of the class.
        colour (Sequence[int]): Its RGB colour.
    """
    return Patch(
        facecolor=np.asarray(colour) / 255,
        edgecolor=PALE,
        linewidth=0.5,
        label=name,
    )


def ignored_patch() -> Patch:
    """Return the key of pixels without a class in a legend."""
    return Patch(
        facecolor=np.asarray(_GREY) / 255,
        edgecolor='white',
        hatch='////',
        label='nothing (ignored)',
    )


def _legend_handles(
    present: Sequence[int],
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    ignore_index: int,
) -> list:
    handles = [
        class_patch(class_names[k], palette[k])
        for k in present
        if k != ignore_index and 0 <= k < len(palette)
    ]
    if ignore_index in present:
        handles.append(ignored_patch())
    return handles
