"""Draw segmentations with their images and ground truths."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .figures import INK, PALE, readable_names, save_figure

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
    """Draw images, ground truths and predictions, one below the other.

    Args:
        images (Sequence[np.ndarray]): uint8, RGB, each (H, W, 3).
        ground_truths (Sequence[np.ndarray]): Classes, each (H, W).
        predictions (Sequence[np.ndarray]): Classes, each (H, W).
        class_names (Sequence[str]): The name of each class.
        palette (Sequence[Sequence[int]]): RGB colour of each class, (K, 3).
        ignore_index (int): The label of pixels without a class.
            Defaults to 255.
        columns (int): Most samples per row. Defaults to 6.

    Returns:
        Figure: With a legend of the classes that occur.

    Raises:
        ValueError: If the numbers of images, ground truths and predictions,
            or of names and colours, differ, or there is no sample.
    """
    samples = [*zip(images, ground_truths, predictions, strict=True)]
    if not samples:
        raise ValueError('images should not be empty')
    blocks = -(-len(samples) // columns)
    columns = -(-len(samples) // blocks)
    height, width = np.shape(images[0])[:2]
    cell = 1.9 / max(height, width)
    labels = {int(k) for s in samples for x in s[1:] for k in np.unique(x)}
    names, families = readable_names(class_names)
    with rc_context({'font.family': families}):
        patches = legend_patches(sorted(labels), names, palette, ignore_index)
        legend_columns = max(1, min(len(patches), int(columns * 1.9)))
        legend_height = 0.3 + 0.24 * -(-len(patches) // legend_columns)
        figure = Figure(
            figsize=(
                0.9 + columns * width * cell,
                legend_height + 3.15 * blocks * height * cell,
            ),
            layout='constrained',
        )
        axes = figure.subplots(3 * blocks, columns, squeeze=False)
        _draw_samples(axes, samples, palette, ignore_index)
        figure.legend(
            handles=patches,
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
    samples = images, ground_truths, predictions
    save_figure(
        predictions_figure(*samples, class_names, palette, ignore_index), path
    )


def legend_patches(
    labels: Iterable[int],
    class_names: Sequence[str],
    palette: Sequence[Sequence[int]],
    ignore_index: int = 255,
) -> list[Patch]:
    """Return the legend of labels, in their order; ignored pixels come last.

    Args:
        labels (Iterable[int]): The labels, each once.
        class_names (Sequence[str]): The name of each class.
        palette (Sequence[Sequence[int]]): RGB colour of each class, (K, 3).
        ignore_index (int): The label of pixels without a class.
            Defaults to 255.

    Raises:
        ValueError: If the numbers of names and colours differ.
    """
    if len(class_names) != len(palette):
        raise ValueError(
            f'each class needs a name and a colour, but there are '
            f'{len(class_names)} class names and {len(palette)} colours'
        )
    labels = [int(k) for k in labels]
    patches = [
        Patch(
            facecolor=np.asarray(palette[k]) / 255,
            edgecolor=PALE,
            linewidth=0.5,
            label=class_names[k],
        )
        for k in labels
        if k != ignore_index and 0 <= k < len(palette)
    ]
    if ignore_index in labels:
        grey = np.asarray(_GREY) / 255
        style = dict(facecolor=grey, edgecolor='white', hatch='////')
        patches.append(Patch(**style, label='ignored'))
    return patches


def _draw_samples(
    axes: np.ndarray,
    samples: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    palette: Sequence[Sequence[int]],
    ignore_index: int,
) -> None:
    for ax in axes.flat:
        ax.set_axis_off()
    for i, (image, *segmentations) in enumerate(samples):
        block, column = divmod(i, axes.shape[1])
        pictures = [np.asarray(image, np.uint8)] + [
            colour_segmentation(x, palette, ignore_index)
            for x in segmentations
        ]
        for row, picture in enumerate(pictures, start=3 * block):
            axes[row, column].imshow(picture, interpolation='nearest')
    for row, ax in enumerate(axes[:, 0]):
        ax.text(
            -0.06,
            0.5,
            ('image', 'ground truth', 'prediction')[row % 3],
            rotation=90,
            ha='right',
            va='center',
            color=INK,
            transform=ax.transAxes,
        )
