"""DMLab, from the TFRecord files as which it was published."""

import glob
import os.path as osp
from functools import partial
from typing import List

from PIL import Image

from mmdavpt.errors import UsageError

from .downloads import Download
from .example import Example, Splits
from .images import image_from_bytes
from .tfrecord import parse_example, read_content, read_records

DMLAB = Download(
    'DMLab',
    'dmlab.tar.gz',
    'https://storage.googleapis.com/dmlab-vtab/dmlab.tar.gz',
)


def dmlab(folder: str) -> Splits:
    """Read DMLab: six classes, three distances of two kinds of objects.

    Args:
        folder (str): Where the download was unpacked.

    Returns:
        dict[str, list[Example]]: 'train', 'validation' and 'test'.

    Raises:
        UsageError: If something is missing or damaged.
    """
    splits: Splits = {}
    for split in ('train', 'validation', 'test'):
        name = f'dmlab-{split}.tfrecord*'
        paths = sorted(glob.glob(osp.join(glob.escape(folder), name)))
        if not paths:
            DMLAB.fail(f'{folder} should hold {name}, but it does not')
        splits[split] = [
            example for path in paths for example in _examples(path)
        ]
    return splits


def _examples(path: str) -> List[Example]:
    """Return the examples of one file, whose images are left in it."""
    examples = []
    try:
        for start, content in read_records(path):
            features = parse_example(content)
            (name,), (label,) = features['filename'], features['label']
            (image,) = features['image']
            examples.append(
                Example(
                    content[slice(*name)].decode(),
                    label,
                    partial(read_frame, path, start, len(content), image),
                )
            )
    except (ValueError, KeyError, TypeError) as error:
        DMLAB.fail(f'{path} cannot be read ({error})')
    return examples


def read_frame(
    path: str, start: int, length: int, image: tuple
) -> Image.Image:
    """Read one frame, and check that it is whole.

    Args:
        path (str): Path of the file.
        start (int): Where the content of its record starts.
        length (int): The number of bytes of it.
        image (tuple[int, int]): Where the image starts and stops in it.

    Raises:
        UsageError: If it is damaged.
    """
    try:
        content = read_content(path, start, length)
    except ValueError as error:
        raise UsageError(
            f'{path} cannot be read ({error}); unpack {DMLAB.files} anew'
        ) from error
    return image_from_bytes(content[slice(*image)], path)
