"""SUN397: lists of TensorFlow Datasets, images of at most 120,000 pixels."""

import importlib.util
import os.path as osp
from functools import partial

import cv2
import numpy as np
from PIL import Image

from mmdavpt.errors import UsageError

from .downloads import Download, lines_of
from .example import Example, Splits
from .images import bgr_from_file, image_from_bgr

SUN397 = Download(
    'SUN397',
    'SUN397.tar.gz',
    'https://vision.princeton.edu/projects/2010/SUN/',
)

#: TensorFlow Datasets skips this image because TensorFlow cannot decode it.
LEFT_OUT = '/t/track/outdoor/sun_aophkoiosslinihb.jpg'
MAX_PIXELS = 120000


def sun397(folder: str) -> Splits:
    """Read SUN397 in the split 'tfds' of TensorFlow Datasets.

    Its lists are not part of the download: they come from the folder or from
    an installed package tensorflow_datasets.

    Args:
        folder (str): Folder of the unpacked download.

    Returns:
        dict[str, list[Example]]: 'train', 'validation' and 'test'.

    Raises:
        UsageError: If something is missing.
    """
    lists = {
        split: [key for key in _list(folder, name) if key != LEFT_OUT]
        for split, name in (
            ('train', 'tr'),
            ('validation', 'va'),
            ('test', 'te'),
        )
    }
    keys = [key for listed in lists.values() for key in listed]
    labels = SUN397.class_labels(map(osp.dirname, keys), 397)
    root = osp.dirname(SUN397.locate(folder, 'SUN397/a'))
    paths = {key: osp.join(root, key[1:]) for key in keys}
    SUN397.check_files(list(paths.values()))
    return {
        split: [
            Example(
                key, labels[osp.dirname(key)], partial(read_sun, paths[key])
            )
            for key in listed
        ]
        for split, listed in lists.items()
    }


def _list(folder: str, name: str) -> list[str]:
    """Return the lines of one list: '/a/abbey/sun_aaalbzqrimafwbiv.jpg'."""
    file = f'sun397_tfds_{name}.txt'
    path = osp.join(folder, file)
    package = importlib.util.find_spec('tensorflow_datasets')
    if not osp.exists(path) and package is not None:
        parent = osp.dirname(str(package.origin))
        path = osp.join(parent, 'image_classification', file)
    if not osp.exists(path):
        raise UsageError(
            f'{SUN397.title}: {folder} lacks the list {file}, and '
            'tensorflow_datasets is not installed; run "pip download '
            '--no-deps tensorflow-datasets" and copy the three lists '
            'sun397_tfds_*.txt of its folder '
            f'tensorflow_datasets/image_classification to {folder}'
        )
    return lines_of(path)


def read_sun(path: str) -> Image.Image:
    """Read an image like TensorFlow Datasets.

    Decode it with OpenCV, scale it linearly to at most 120,000 pixels, and
    compress it as JPEG with OpenCV's default quality.

    Args:
        path (str): Path of the file, which may be JPEG, PNG, BMP or GIF.

    Raises:
        UsageError: If it cannot be read as an image.
    """
    pixels = bgr_from_file(path)
    height, width = pixels.shape[:2]
    if height * width > MAX_PIXELS:
        factor = np.sqrt(MAX_PIXELS / (height * width))
        pixels = cv2.resize(pixels, dsize=None, fx=factor, fy=factor)
    return image_from_bgr(pixels)
