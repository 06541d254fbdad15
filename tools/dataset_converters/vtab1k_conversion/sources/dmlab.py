"""DMLab, from its published TFRecord files."""

import glob
import os.path as osp
from functools import partial

from .downloads import Download
from .example import Example, Splits
from .tfrecord import read_image, read_records

DMLAB = Download(
    'DMLab',
    'dmlab.tar.gz',
    'https://storage.googleapis.com/dmlab-vtab/dmlab.tar.gz',
)


def dmlab(folder: str) -> Splits:
    """Read DMLab: six classes, three distances of two kinds of objects.

    Args:
        folder (str): Folder of the unpacked download.

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


def _examples(path: str) -> list[Example]:
    """Return the examples of one file; their images are read later."""
    examples = []
    try:
        for start, length, features in read_records(path):
            (name,), (label,) = features['filename'], features['label']
            read = partial(read_image, path, start, length)
            examples.append(Example(name.decode(), label, read))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        DMLAB.fail(f'{path} cannot be read ({error})')
    return examples
