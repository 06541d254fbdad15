"""Datasets with one folder per class: Caltech-101, EuroSAT, RESISC45."""

import os.path as osp
from functools import partial

import numpy as np

from .downloads import Download, files_in, subfolders
from .example import Example, Splits
from .images import image_from_file

CALTECH101 = Download(
    'Caltech-101',
    'caltech-101.zip (with 101_ObjectCategories.tar.gz inside it)',
    'https://data.caltech.edu/records/mzrjq-6wc02',
)
EUROSAT = Download(
    'EuroSAT (RGB)',
    'EuroSAT_RGB.zip',
    'https://zenodo.org/records/7711810',
)
RESISC45 = Download(
    'NWPU-RESISC45',
    'NWPU-RESISC45.rar',
    'https://1drv.ms/u/s!AmgKYzARBl5ca3HNaHIlzp_IXjs',
)


def caltech101(folder: str) -> Splits:
    """Read Caltech-101 with 30 training images of each of 102 classes.

    TensorFlow Datasets draws the 30 with NumPy's generator, seed 1234, from
    all files in the order of the file system, so its split differs between
    machines. This function draws them from the sorted files, so the split is
    always the same.

    Args:
        folder (str): Folder of the unpacked download.

    Returns:
        dict[str, list[Example]]: 'train' and 'test'.

    Raises:
        UsageError: If something is missing.
    """
    background = CALTECH101.locate(
        folder, 'caltech-101/101_ObjectCategories/BACKGROUND_Google'
    )
    root = osp.dirname(background)
    names = subfolders(root)
    labels = CALTECH101.class_labels(names, 102)
    random = np.random.RandomState(1234)
    splits: Splits = {'train': [], 'test': []}
    for name in names:
        files = files_in(osp.join(root, name), '.jpg')
        if len(files) < 30:
            CALTECH101.fail(
                f'{osp.join(root, name)} should hold at least 30 images, '
                f'but it holds {len(files)}'
            )
        drawn = set(random.choice(files, 30, replace=False))
        for file in files:
            splits['train' if file in drawn else 'test'].append(
                Example(
                    key=f'{name}/{file}',
                    label=labels[name],
                    read=partial(image_from_file, osp.join(root, name, file)),
                )
            )
    return splits


def eurosat(folder: str) -> Splits:
    """Read the RGB images of EuroSAT, all of them as 'train'.

    Args:
        folder (str): Folder of the unpacked download; its own folder is
            '2750' or 'EuroSAT_RGB', depending on the version.

    Returns:
        dict[str, list[Example]]: 'train'.

    Raises:
        UsageError: If something is missing.
    """
    older = EUROSAT.find(folder, '2750/Forest')
    forest = older or EUROSAT.locate(folder, 'EuroSAT_RGB/Forest')
    return _one_split(EUROSAT, osp.dirname(forest), 10)


def resisc45(folder: str) -> Splits:
    """Read NWPU-RESISC45, all of it as 'train'.

    Args:
        folder (str): Folder of the unpacked download.

    Returns:
        dict[str, list[Example]]: 'train'.

    Raises:
        UsageError: If something is missing.
    """
    airplane = RESISC45.locate(folder, 'NWPU-RESISC45/airplane')
    return _one_split(RESISC45, osp.dirname(airplane), 45)


def _one_split(download: Download, root: str, num_classes: int) -> Splits:
    """Return the images of all class folders as one split."""
    names = subfolders(root)
    labels = download.class_labels(names, num_classes)
    return {
        'train': [
            Example(
                key=f'{name}_{file}',
                label=labels[name],
                read=partial(image_from_file, osp.join(root, name, file)),
            )
            for name in names
            for file in files_in(osp.join(root, name), '.jpg')
        ]
    }
