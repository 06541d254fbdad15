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

#: TensorFlow Datasets leaves it out, since TensorFlow cannot decode it.
LEFT_OUT = '/t/track/outdoor/sun_aophkoiosslinihb.jpg'
MAX_PIXELS = 120000


def sun397(folder: str) -> Splits:
    """Read SUN397 in the split that TensorFlow Datasets names 'tfds'.

    Its lists are not part of the download: they are taken from the folder,
    or else from an installed package tensorflow_datasets.

    Args:
        folder (str): Where the download was unpacked.

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
            f'{SUN397.title}: {folder} should hold the list {file}, or the '
            'package tensorflow_datasets should be installed, but neither is '
            'so; "pip download --no-deps tensorflow-datasets" fetches the '
            'package, which holds the three lists sun397_tfds_*.txt in '
            f'tensorflow_datasets/image_classification; copy them to {folder}'
        )
    return lines_of(path)


def read_sun(path: str) -> Image.Image:
    """Read an image as TensorFlow Datasets stores it.

    That is: decoded by OpenCV, scaled linearly to at most 120,000 pixels,
    and compressed as JPEG with OpenCV's own quality.

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
