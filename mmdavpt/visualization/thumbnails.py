"""Draw small pictures of samples and their labels, for pages."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import mmcv
import numpy as np

from mmdavpt.datasets.image_files import UNDECODABLE

#: Longest side of a picture, in pixels.
SIDE = 160

#: A color (red, green, blue), and a name.
Style = tuple[Sequence[int], str]


class Thumbnail(NamedTuple):
    """Pictures of a sample, or of a file that is no sample.

    Args:
        file (str): The file.
        image (str): The image as a data URI; '' if it cannot be loaded.
        labels (str): The colored labels as a data URI; '' without.
        legend (Sequence): Color, name and percentage of pixels of the label
            values, the most frequent first.
    """

    file: str
    image: str
    labels: str
    legend: Sequence[tuple[Sequence[int], str, float]]


def draw_sample(
    sample: dict,
    load_image: Callable[[dict], dict | None],
    load_labels: Callable[[dict], dict | None] | None,
    style: Callable[[int], Style],
) -> Thumbnail:
    """Draw a sample as a training loads it, and its labels in color.

    Args:
        sample (dict): The sample.
        load_image (Callable): The transform that loads its image.
        load_labels (Callable, optional): The same for pixel labels.
        style (Callable): Returns color and name of a label value.
    """
    image = _load(load_image, sample, 'img')
    labels = _load(load_labels, sample, 'gt_seg_map')
    legend = []
    if labels is not None and labels.ndim == 2:
        values, places, counts = np.unique(
            labels, return_inverse=True, return_counts=True
        )
        styles = [style(value) for value in values.tolist()]
        colors = np.array([color[::-1] for color, _ in styles], np.uint8)
        labels = colors[places.reshape(labels.shape)]
        order = np.argsort(-counts, stable=True)
        legend = [(*styles[i], 100 * counts[i] / counts.sum()) for i in order]
    pictures = (
        _encode(image, 'jpeg', 'area'),
        _encode(labels, 'png', 'nearest'),
    )
    return Thumbnail(sample['img_path'], *pictures, legend)


def _load(
    load: Callable[[dict], dict | None] | None, sample: dict, key: str
) -> np.ndarray | None:
    try:
        return load and load(dict(sample, seg_fields=[]))[key]
    except UNDECODABLE:
        return None


def _encode(pixels: np.ndarray | None, kind: str, interpolation: str) -> str:
    """Return an image with BGR channels, or one, as a small data URI."""
    if pixels is None:
        return ''
    if pixels.ndim == 3:
        pixels = pixels[..., : 3 if pixels.shape[2] > 2 else 1]
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    small = mmcv.imrescale(pixels, (SIDE, SIDE), interpolation=interpolation)
    content = b64encode(cv2.imencode(f'.{kind}', small)[1]).decode()
    return f'data:image/{kind};base64,{content}'
