"""Draw small pictures of samples and their labels, for pages."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmdavpt.datasets.image_files import BROKEN, UNDECODABLE
from mmdavpt.datasets.sample_files import SampleFiles

#: Longest side of a picture, in pixels.
SIDE = 160


class Thumbnail(NamedTuple):
    """Pictures of a sample, or of a file that is no sample.

    Args:
        file (str): The file.
        image (str): The image as a data URI; '' if it cannot be loaded.
        labels (str): The colored labels as a data URI. Defaults to ''.
        legend (Sequence): Color, name and percentage of pixels of the label
            values, the most frequent first. Defaults to ().
    """

    file: str
    image: str
    labels: str = ''
    legend: Sequence[tuple[Sequence[int], str, float]] = ()


def draw_sample(
    files: SampleFiles,
    sample: dict,
    style: Callable[[int], tuple[Sequence[int], str]],
) -> Thumbnail:
    """Draw a sample as a training loads it, and its labels in color.

    Args:
        files (SampleFiles): The files of the sample's dataset.
        sample (dict): The sample.
        style (Callable): Returns color and name of a label value.
    """
    image = _load(files.load_image, sample, 'img')
    labels = _load(files.load_labels, sample, 'gt_seg_map')
    legend = ()
    if labels is not None and labels.ndim == 2:
        values, places, counts = np.unique(
            labels, return_inverse=True, return_counts=True
        )
        styles = [style(value) for value in values.tolist()]
        colors = np.array([color for color, _ in styles])
        labels = colors[places.reshape(labels.shape)][..., ::-1]
        order = np.argsort(-counts, stable=True)
        shares = 100 * counts / counts.sum()
        legend = [(*styles[i], shares[i]) for i in order]
    path = sample['img_path']
    return Thumbnail(path, _encode(image), _encode(labels, 'PNG'), legend)


def draw_file(path: str) -> Thumbnail:
    """Draw an image file that is no sample.

    Args:
        path (str): The file.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert('RGB'))[..., ::-1]
    except BROKEN:
        pixels = None
    return Thumbnail(path, _encode(pixels))


def _load(
    load: Callable[[dict], dict] | None, sample: dict, key: str
) -> np.ndarray | None:
    if load is None:
        return None
    try:
        return load(dict(sample, seg_fields=[]))[key]
    except UNDECODABLE:
        return None


def _encode(pixels: np.ndarray | None, kind: str = 'JPEG') -> str:
    """Return an image with BGR channels, or one, as a small data URI."""
    if pixels is None:
        return ''
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    if pixels.ndim == 3:
        many = pixels.shape[2] > 2
        pixels = pixels[..., 2::-1] if many else pixels[..., 0]
    image, file = Image.fromarray(pixels), io.BytesIO()
    # Interpolated labels would be other labels.
    resample = Image.NEAREST if kind == 'PNG' else Image.BICUBIC
    image.thumbnail((SIDE, SIDE), resample)
    image.save(file, kind)
    content = base64.b64encode(file.getvalue()).decode()
    return f'data:image/{kind.lower()};base64,{content}'
