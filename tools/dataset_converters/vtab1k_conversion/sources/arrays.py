"""Datasets that come as arrays: SVHN, PatchCamelyon."""

from functools import partial
from types import ModuleType

import numpy as np
from PIL import Image

from mmdavpt.errors import UsageError

from ...matlab_files import read_variables
from .downloads import Download
from .example import Example, Splits
from .images import image_from_array

SVHN = Download(
    'SVHN (cropped digits)',
    'train_32x32.mat and test_32x32.mat',
    'http://ufldl.stanford.edu/housenumbers/',
)
PATCH_CAMELYON = Download(
    'PatchCamelyon',
    'the six files camelyonpatch_level_2_split_*_[xy].h5.gz',
    'https://zenodo.org/records/2546921',
)


def svhn(folder: str) -> Splits:
    """Read the cropped digits of SVHN, without the 'extra' ones.

    Args:
        folder (str): Folder of the files.

    Returns:
        dict[str, list[Example]]: 'train' and 'test', with the index in the
        file as key.

    Raises:
        UsageError: If something is missing or malformed.
    """
    splits: Splits = {}
    for split in ('train', 'test'):
        path = SVHN.locate(folder, f'{split}_32x32.mat')
        pixels, digits = read_variables(path, ['X', 'y'])
        digits = digits.reshape(-1)
        if pixels.shape != (32, 32, 3, len(digits)):
            SVHN.fail(
                f'{path} should hold an array X of shape (32, 32, 3, '
                f'{len(digits)}), but its shape is {pixels.shape}'
            )
        images = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
        splits[split] = [
            # The file stores the digit 0 as 10.
            Example(index, int(digit) % 10, partial(image_from_array, image))
            for index, (digit, image) in enumerate(
                zip(digits, images, strict=True)
            )
        ]
    return splits


def patch_camelyon(folder: str) -> Splits:
    """Read PatchCamelyon: whether the centre of a patch has tumour tissue.

    Args:
        folder (str): Folder of the unpacked files.

    Returns:
        dict[str, list[Example]]: 'train', 'validation' and 'test'.

    Raises:
        UsageError: If something is missing, or h5py is not installed.
    """
    h5py = _h5py()
    splits: Splits = {}
    for split, name in (
        ('train', 'train'),
        ('validation', 'valid'),
        ('test', 'test'),
    ):
        stem = f'camelyonpatch_level_2_split_{name}'
        images = PATCH_CAMELYON.locate(folder, f'{stem}_x.h5')
        targets = PATCH_CAMELYON.locate(folder, f'{stem}_y.h5')
        try:
            with h5py.File(targets) as file:
                labels = np.array(file['y']).reshape(-1)
            with h5py.File(images) as file:
                shape = file['x'].shape
        except (KeyError, OSError) as error:
            PATCH_CAMELYON.fail(
                f'{images} or {targets} cannot be read ({error})'
            )
        if shape != (len(labels), 96, 96, 3):
            PATCH_CAMELYON.fail(
                f'{images} should hold an array x of shape ({len(labels)}, '
                f'96, 96, 3), but its shape is {shape}'
            )
        splits[split] = [
            Example(
                f'{name}_{index}',
                int(label),
                partial(read_patch, images, index),
            )
            for index, label in enumerate(labels)
        ]
    return splits


def read_patch(path: str, index: int) -> Image.Image:
    """Read one patch of PatchCamelyon.

    Args:
        path (str): Path of the file of images.
        index (int): Index of the patch.

    Raises:
        UsageError: If h5py is not installed.
    """
    with _h5py().File(path) as file:
        return image_from_array(file['x'][index])


def _h5py() -> ModuleType:
    """Import h5py, which only this dataset needs."""
    try:
        import h5py
    except ImportError:
        raise UsageError(
            f'reading {PATCH_CAMELYON.title} needs h5py; '
            'run pip install "mmdavpt[converters]"'
        ) from None
    return h5py
