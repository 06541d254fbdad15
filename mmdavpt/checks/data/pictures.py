"""Draw small pictures of samples and their labels, for the report's page."""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from mmdavpt.datasets.image_files import BROKEN
from mmdavpt.errors import UsageError

from .built import BuiltDataset

#: Longest side of a picture, in pixels.
SIDE = 160

#: Colors of pixels that are ignored, and of values without a class.
IGNORED, UNKNOWN = '#808080', '#ff00ff'

#: What loading a sample may raise.
UNDECODABLE = (*BROKEN, AssertionError, TypeError, cv2.error, UsageError)


class Picture(NamedTuple):
    """Pictures of a sample, or of a file that is no sample.

    Args:
        file (str): The file.
        image (str): The image as a data URI; '' if it cannot be loaded.
        labels (str): The colored labels as a data URI. Defaults to ''.
        legend (Sequence): Color, name and percentage of pixels of the label
            values. Defaults to ().
    """

    file: str
    image: str
    labels: str = ''
    legend: Sequence[tuple[str, str, float]] = ()


def find_samples(
    files: Iterable[str], built: Sequence[BuiltDataset]
) -> dict[str, tuple[BuiltDataset, dict]]:
    """Return dataset and sample of each file that belongs to one.

    Args:
        files (Iterable[str]): Images and labels.
        built (Sequence[BuiltDataset]): The datasets.
    """
    wanted, found = set(files), {}
    for part in built:
        for sample in part.files.samples:
            for key in ('img_path', 'seg_map_path'):
                if sample.get(key) in wanted:
                    found.setdefault(sample[key], (part, sample))
    return found


def draw_sample(part: BuiltDataset, sample: dict) -> Picture:
    """Draw a sample as a training loads it, and its labels in color.

    Args:
        part (BuiltDataset): Its dataset.
        sample (dict): The sample.
    """
    image = _load(part.files.load_image, sample, 'img')
    labels = _load(part.files.load_labels, sample, 'gt_seg_map')
    legend = ()
    if labels is not None and labels.ndim == 2:
        values, places, counts = np.unique(
            labels, return_inverse=True, return_counts=True
        )
        styles = [value_style(value, part) for value in values.tolist()]
        # Values without a class first, then the most frequent.
        order = np.lexsort((-counts, [c != UNKNOWN for c, _ in styles]))
        share = 100 / labels.size
        legend = [(*styles[i], counts[i] * share) for i in order]
        colors = [[*bytes.fromhex(color[1:])][::-1] for color, _ in styles]
        labels = np.array(colors)[places.reshape(labels.shape)]
    return Picture(
        sample['img_path'], _encode(image), _encode(labels, 'PNG'), legend
    )


def draw_file(path: str) -> Picture:
    """Draw a file that is no sample.

    Args:
        path (str): The file, of any kind.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert('RGB'))[..., ::-1]
    except BROKEN:
        pixels = None
    return Picture(path, _encode(pixels))


def value_style(value: int, part: BuiltDataset) -> tuple[str, str]:
    """Return color and name of a label value.

    Args:
        value (int): The value, as loaded.
        part (BuiltDataset): The dataset.
    """
    if value == part.ignore_index:
        return IGNORED, f'{value} (ignored)'
    if not 0 <= value < len(part.classes):
        return UNKNOWN, f'{value} (no class)'
    palette = part.files.dataset.metainfo.get('palette') or ()
    color = palette[value] if value < len(palette) else (0, 0, 0)
    name = part.classes[value]
    name = name if name == str(value) else f'{value} {name}'
    return f'#{bytes(color).hex()}', name


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
        wide = pixels.shape[2] > 2
        pixels = pixels[..., 2::-1] if wide else pixels[..., 0]
    image, file = Image.fromarray(pixels), io.BytesIO()
    # Mixed labels would be other labels.
    resample = Image.NEAREST if kind == 'PNG' else Image.BICUBIC
    image.thumbnail((SIDE, SIDE), resample)
    image.save(file, kind)
    content = base64.b64encode(file.getvalue()).decode()
    return f'data:image/{kind.lower()};base64,{content}'
