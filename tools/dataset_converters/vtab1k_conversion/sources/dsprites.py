"""dSprites: rendered shapes with known factors of variation."""

import zipfile
import zlib
from functools import partial

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from .downloads import Download
from .example import Example, Splits
from .images import image_from_array

DSPRITES = Download(
    'dSprites',
    'dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz',
    'https://github.com/google-deepmind/dsprites-dataset',
)


def dsprites_loc(folder: str) -> Splits:
    """Read dSprites; the label is the horizontal position, of 16.

    Each label joins two of the dataset's 32 positions.

    Args:
        folder (str): Folder of the .npz file.

    Returns:
        dict[str, list[Example]]: 'train', with the index in the file as key.

    Raises:
        UsageError: If something is missing or malformed.
    """
    return _dsprites(folder, column=4, count=32)


def dsprites_ori(folder: str) -> Splits:
    """Read dSprites; the label is the orientation, of 16.

    The 40 orientations of the dataset are divided by 2.5 and rounded down.

    Args:
        folder (str): Folder of the .npz file.

    Returns:
        dict[str, list[Example]]: 'train', with the index in the file as key.

    Raises:
        UsageError: If something is missing or malformed.
    """
    return _dsprites(folder, column=3, count=40)


def _dsprites(folder: str, column: int, count: int) -> Splits:
    """Return all sprites, labelled by one factor in 16 bins."""
    path = DSPRITES.locate(folder, DSPRITES.files)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            factors = arrays['latents_classes'][:, column]
        sprites = _packed_sprites(path)
    except (
        EOFError,
        IndexError,
        KeyError,
        OSError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        DSPRITES.fail(f'{path} cannot be read ({error})')
    if len(sprites) != len(factors):
        DSPRITES.fail(
            f'{path} should hold an image for each of its {len(factors)} '
            f'factors, but it holds {len(sprites)}'
        )
    return {
        'train': [
            Example(index, factor * 16 // count, partial(read_sprite, bits))
            for index, (factor, bits) in enumerate(
                zip(factors.tolist(), sprites, strict=True)
            )
        ]
    }


def _packed_sprites(path: str) -> list[bytes]:
    """Return the images with one bit per pixel: 0.4 GB instead of 3 GB."""
    sprites: list[bytes] = []
    with zipfile.ZipFile(path) as archive, archive.open('imgs.npy') as file:
        version = npy.read_magic(file)
        read_header = {
            (1, 0): npy.read_array_header_1_0,
            (2, 0): npy.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read_header(file)
        if shape[1:] != (64, 64) or dtype != np.uint8 or fortran:
            raise ValueError(f'imgs is {dtype} of shape {shape}')
        while chunk := file.read(1024 * 64 * 64):
            pixels = np.frombuffer(chunk, np.uint8).reshape(-1, 64 * 64)
            sprites += map(bytes, np.packbits(pixels, axis=1))
    return sprites


def read_sprite(bits: bytes) -> Image.Image:
    """Draw a sprite, white on black.

    Args:
        bits (bytes): One bit for each of 64 x 64 pixels.
    """
    pixels = np.unpackbits(np.frombuffer(bits, np.uint8)).reshape(64, 64)
    return image_from_array(pixels * np.uint8(255))
