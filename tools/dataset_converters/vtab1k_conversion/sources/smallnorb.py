"""smallNORB: photographed toys with known factors of variation."""

import os.path as osp
from functools import partial
from typing import NoReturn

import numpy as np
from PIL import Image

from .downloads import Download
from .example import Example, Splits
from .images import image_from_array

SMALLNORB = Download(
    'smallNORB',
    'the four files smallnorb-5x*-{training,testing}-{dat,info}.mat.gz',
    'https://cs.nyu.edu/~ylclab/data/norb-v1.0-small/',
)
#: Magic numbers of the types of values in a file.
BYTES, INTEGERS = 0x1E3D4C55, 0x1E3D4C54
#: Bytes of a pair of images; we use the left one.
PAIR = 2 * 96 * 96


def smallnorb_azi(folder: str) -> Splits:
    """Read smallNORB; the label is the azimuth, of 18 (every 20 degrees).

    Args:
        folder (str): Folder of the unpacked files.

    Returns:
        dict[str, list[Example]]: 'train' and 'test', with the index in the
        file as key.

    Raises:
        UsageError: If something is missing or malformed.
    """
    # The files count azimuths in steps of 10 degrees and have every second.
    return _smallnorb(folder, column=2, step=2)


def smallnorb_ele(folder: str) -> Splits:
    """Read smallNORB; the label is the elevation, of 9.

    Args:
        folder (str): Folder of the unpacked files.

    Returns:
        dict[str, list[Example]]: 'train' and 'test', with the index in the
        file as key.

    Raises:
        UsageError: If something is missing or malformed.
    """
    return _smallnorb(folder, column=1, step=1)


def _smallnorb(folder: str, column: int, step: int) -> Splits:
    """Return the left images, with one of four factors as label."""
    splits: Splits = {}
    for split, name in (
        ('train', '5x46789x9x18x6x2x96x96-training'),
        ('test', '5x01235x9x18x6x2x96x96-testing'),
    ):
        images = SMALLNORB.locate(folder, f'smallnorb-{name}-dat.mat')
        info = SMALLNORB.locate(folder, f'smallnorb-{name}-info.mat')
        count, start = _rows(images, BYTES, (2, 96, 96))
        listed, info_start = _rows(info, INTEGERS, (4,))
        if listed != count:
            _fail(info, f'the factors of {count} pairs', f'has {listed}')
        factors = np.fromfile(info, '<i4', offset=info_start)
        labels = factors.reshape(count, 4)[:, column] // step
        splits[split] = [
            Example(
                index, label, partial(read_norb, images, start + index * PAIR)
            )
            for index, label in enumerate(labels.tolist())
        ]
    return splits


def _rows(path: str, magic: int, row: tuple[int, ...]) -> tuple[int, int]:
    """Return the number of rows of a file of smallNORB and their offset.

    The header is a magic number, the number of axes and at least three
    lengths of axes, all of them little-endian int32.
    """
    axes = 1 + len(row)
    start = 4 * (2 + max(3, axes))
    header = np.fromfile(path, '<i4', count=start // 4).tolist()
    if header[:2] != [magic, axes] or tuple(header[3 : 2 + axes]) != row:
        _fail(path, f'rows of shape {row}', f'starts with {header}')
    size = start + header[2] * int(np.prod(row)) * (1 if magic == BYTES else 4)
    if osp.getsize(path) != size:
        _fail(path, f'{size} bytes', f'has {osp.getsize(path)}')
    return header[2], start


def _fail(path: str, expected: str, found: str) -> NoReturn:
    """Raise an error about the content of a file."""
    SMALLNORB.fail(f'{path} should hold {expected}, but it {found}')


def read_norb(path: str, start: int) -> Image.Image:
    """Read the left image of a pair.

    Args:
        path (str): Path of the file of images.
        start (int): Offset of its bytes.
    """
    pixels = np.fromfile(path, np.uint8, count=PAIR // 2, offset=start)
    return image_from_array(pixels.reshape(96, 96))
