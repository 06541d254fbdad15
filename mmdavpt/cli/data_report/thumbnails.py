"""Draw small pictures of samples and their labels, for pages."""

import io
from base64 import b64encode
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from mmdavpt.checks.data.checked_dataset import CheckedDataset
from mmdavpt.datasets.image_files import UNDECODABLE

#: Longest side of a picture, in pixels.
SIDE = 160

#: Colors of pixels that are ignored, and of values without a class.
IGNORED, UNKNOWN = (128, 128, 128), (255, 0, 255)


def draw_sample(data: CheckedDataset, sample: dict) -> dict:
    """Draw a sample as a training loads it, and its labels in color.

    Args:
        data (CheckedDataset): The dataset.
        sample (dict): The sample.

    Returns:
        dict: 'file' of the image; 'image', a data URI, '' if it cannot be
        loaded; 'labels', a data URI, '' without; and 'legend': color, name
        and percentage of pixels of the label values, those without a class
        first, then the most frequent.
    """
    image = _draw_image(_load(data.load_image, sample, 'img'))
    drawn = dict(file=sample['img_path'], image=image, labels='', legend=[])
    labels = _load(data.load_labels, sample, 'gt_seg_map')
    if labels is None or labels.ndim != 2:
        return drawn
    values, counts = np.unique(labels, return_counts=True)
    styles = [style_of(value, data) for value in values.tolist()]
    colors = np.zeros((256, 3), np.uint8)
    colors[values.astype(np.uint8)] = [color for color, _ in styles]
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(colors.tobytes())
    shares = 100 * counts / labels.size
    legend = [(*style, n) for style, n in zip(styles, shares, strict=True)]
    legend.sort(key=lambda entry: (entry[0] != UNKNOWN, -entry[2]))
    return dict(drawn, labels=encode(picture, 'png'), legend=legend)


def _draw_image(pixels: np.ndarray | None) -> str:
    """Return an image with BGR channels, or one, as a small data URI."""
    if pixels is None:
        return ''
    pixels = np.clip(pixels, 0, 255).astype(np.uint8)
    if pixels.ndim == 3:  # BGR, BGRA, or one channel
        pixels = pixels[..., 2::-1] if pixels.shape[2] > 2 else pixels[..., 0]
    return encode(Image.fromarray(np.ascontiguousarray(pixels)), 'jpeg')


def style_of(value: int, data: CheckedDataset) -> tuple[Sequence[int], str]:
    """Return color and name of a label value.

    Args:
        value (int): The value, as loaded.
        data (CheckedDataset): The dataset.
    """
    if value == data.ignore_index:
        return IGNORED, f'{value} (ignored)'
    if not 0 <= value < len(data.classes):
        return UNKNOWN, f'{value} (no class)'
    palette = data.dataset.metainfo.get('palette') or ()
    name = data.classes[value]
    name = name if name == str(value) else f'{value} {name}'
    return palette[value] if value < len(palette) else (0, 0, 0), name


def _load(
    load: Callable[[dict], dict | None] | None, sample: dict, key: str
) -> np.ndarray | None:
    try:
        return load and load(dict(sample, seg_fields=[]))[key]
    except UNDECODABLE:
        return None


def encode(picture: Image.Image, kind: str) -> str:
    """Return a small picture as a data URI.

    Args:
        picture (Image.Image): The picture, made small in place.
        kind (str): 'jpeg' or 'png'.
    """
    picture.thumbnail((SIDE, SIDE))  # indexed colors are not mixed
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    content = b64encode(buffer.getvalue()).decode()
    return f'data:image/{kind};base64,{content}'
