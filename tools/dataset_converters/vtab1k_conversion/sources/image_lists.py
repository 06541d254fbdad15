"""Datasets with lists of their images: DTD, flowers, pets."""

import os.path as osp
from functools import partial

from ...matlab_files import read_variables
from .downloads import Download, lines_of
from .example import Example, Splits
from .images import image_from_file

DTD = Download(
    'DTD',
    'dtd-r1.0.1.tar.gz',
    'https://www.robots.ox.ac.uk/~vgg/data/dtd/',
)
FLOWERS102 = Download(
    'Oxford Flowers-102',
    '102flowers.tgz, imagelabels.mat and setid.mat',
    'https://www.robots.ox.ac.uk/~vgg/data/flowers/102/',
)
PETS = Download(
    'Oxford-IIIT Pet',
    'images.tar.gz and annotations.tar.gz',
    'https://www.robots.ox.ac.uk/~vgg/data/pets/',
)

#: Images of a split: path in the folder of images, which is also the key, and
#: label.
Rows = list[tuple[str, int]]


def dtd(folder: str) -> Splits:
    """Read the Describable Textures Dataset, first of its ten partitions.

    Args:
        folder (str): Folder of the unpacked download.

    Returns:
        dict[str, list[Example]]: 'train', 'validation' and 'test'.

    Raises:
        UsageError: If something is missing.
    """
    lists = {
        split: lines_of(DTD.locate(folder, f'dtd/labels/{name}1.txt'))
        for split, name in (
            ('train', 'train'),
            ('validation', 'val'),
            ('test', 'test'),
        )
    }
    labels = DTD.class_labels(
        (path.split('/')[0] for paths in lists.values() for path in paths), 47
    )
    rows = {
        split: [(path, labels[path.split('/')[0]]) for path in paths]
        for split, paths in lists.items()
    }
    return _examples(DTD, DTD.locate(folder, 'dtd/images'), rows)


def oxford_flowers102(folder: str) -> Splits:
    """Read Oxford Flowers-102 with its own split.

    Args:
        folder (str): Folder of the unpacked download.

    Returns:
        dict[str, list[Example]]: 'train', 'validation' and 'test'.

    Raises:
        UsageError: If something is missing.
    """
    (classes,) = read_variables(
        FLOWERS102.locate(folder, 'imagelabels.mat'), ['labels']
    )
    numbers = read_variables(
        FLOWERS102.locate(folder, 'setid.mat'), ['trnid', 'valid', 'tstid']
    )
    rows = {
        # The files count images and classes from 1.
        split: [
            (f'image_{number:05d}.jpg', int(classes[0, number - 1]) - 1)
            for number in members[0].tolist()
        ]
        for split, members in zip(
            ('train', 'validation', 'test'), numbers, strict=True
        )
    }
    return _examples(FLOWERS102, FLOWERS102.locate(folder, 'jpg'), rows)


def oxford_iiit_pet(folder: str) -> Splits:
    """Read Oxford-IIIT Pet; 'trainval.txt' is its training split.

    Args:
        folder (str): Folder of the unpacked download.

    Returns:
        dict[str, list[Example]]: 'train' and 'test'.

    Raises:
        UsageError: If something is missing or a line has another form.
    """
    rows: dict[str, Rows] = {}
    for split, name in (('train', 'trainval'), ('test', 'test')):
        path = PETS.locate(folder, f'annotations/{name}.txt')
        rows[split] = [_pet_row(line, path) for line in lines_of(path)]
    return _examples(PETS, PETS.locate(folder, 'images'), rows)


def _pet_row(line: str, path: str) -> tuple[str, int]:
    """Parse 'Abyssinian_100 1 1 1': name, class from 1, species, breed."""
    fields = line.split()
    if len(fields) != 4 or not fields[1].isdigit():
        PETS.fail(
            f'a line of {path} should be "<image> <class> <species> <breed>"'
            f', but got {line!r}'
        )
    return f'{fields[0]}.jpg', int(fields[1]) - 1


def _examples(
    download: Download, images: str, splits: dict[str, Rows]
) -> Splits:
    """Turn the listed images into examples; check that all exist."""
    download.check_files(
        [
            osp.join(images, path)
            for rows in splits.values()
            for path, _ in rows
        ]
    )
    return {
        split: [
            Example(
                path, label, partial(image_from_file, osp.join(images, path))
            )
            for path, label in rows
        ]
        for split, rows in splits.items()
    }
