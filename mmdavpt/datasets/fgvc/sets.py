"""What is known of the five fine-grained (FGVC) data sets."""

import os.path as osp
from dataclasses import dataclass

from mmdavpt.errors import UsageError

#: The splits of every set, and the lists that each of them is read from.
SPLITS: dict[str, tuple[str, ...]] = {
    'train': ('train',),
    'val': ('val',),
    'trainval': ('train', 'val'),
    'test': ('test',),
}


@dataclass(frozen=True)
class FGVCSet:
    """What is known of a fine-grained data set.

    Attributes:
        name (str): The name to ask for it.
        aliases (tuple[str, ...]): Other names, and other names of its folder.
        folder (str): The name of its folder.
        title (str): What the papers call it.
        num_classes (int): The number of classes.
        sizes (dict[str, int]): The number of images of each split.
        image_dirs (tuple[str, ...]): Folders that the image paths of the
            lists may be relative to, relative to the set's own; '' is that.
    """

    name: str
    aliases: tuple[str, ...]
    folder: str
    title: str
    num_classes: int
    sizes: dict[str, int]
    image_dirs: tuple[str, ...]


def _set(train: int, val: int, test: int, **kwargs) -> FGVCSet:
    sizes = dict(train=train, val=val, trainval=train + val, test=test)
    return FGVCSet(sizes=sizes, **kwargs)


#: The sets by name. The sizes are those of the lists that VPT published
#: (Jia et al., "Visual Prompt Tuning", ECCV 2022); aliases in capitals are
#: the folders of DA-VPT's released code.
SETS: dict[str, FGVCSet] = {
    each.name: each
    for each in (
        _set(
            5394,
            600,
            5794,
            name='cub',
            aliases=('CUB200', 'CUB-200', 'CUB-200-2011'),
            folder='CUB_200_2011',
            title='CUB-200-2011',
            num_classes=200,
            image_dirs=('', 'images'),
        ),
        _set(
            21536,
            2393,
            24633,
            name='nabirds',
            aliases=('NABIRDS555', 'NABirds'),
            folder='nabirds',
            title='NABirds',
            num_classes=555,
            image_dirs=('', 'images'),
        ),
        _set(
            1020,
            1020,
            6149,
            name='flowers',
            aliases=('FLOWERS102', 'OxfordFlowers', 'OxfordFlower'),
            folder='flowers102',
            title='Oxford Flowers',
            num_classes=102,
            image_dirs=('', 'jpg'),
        ),
        _set(
            10800,
            1200,
            8580,
            name='dogs',
            aliases=('DOGS120', 'Stanford-Dogs'),
            folder='StanfordDogs',
            title='Stanford Dogs',
            num_classes=120,
            image_dirs=('', 'Images', 'images'),
        ),
        # Not cars_train and cars_test: both number their images from 1, so
        # that a bare name would be found in the wrong one of them.
        _set(
            7329,
            815,
            8041,
            name='cars',
            aliases=('CARS196', 'Stanford-Cars'),
            folder='StanfordCars',
            title='Stanford Cars',
            num_classes=196,
            image_dirs=('', 'car_ims'),
        ),
    )
}


def _plain(name: str) -> str:
    return ''.join(c for c in name.lower() if c.isalnum())


def set_from(name: str) -> FGVCSet:
    """Return a fine-grained data set by its name, folder or an alias.

    Capitals, spaces, hyphens and underscores make no difference.

    Args:
        name (str): The name.

    Raises:
        UsageError: If there is no such set.
    """
    for each in SETS.values():
        known = (each.name, each.folder, *each.aliases)
        if _plain(str(name)) in map(_plain, known):
            return each
    raise UsageError(
        f'the fine-grained data set should be one of {list(SETS)}, '
        f'but got {name!r}'
    )


def default_root(fgvc_set: FGVCSet, parent: str = 'data/fgvc') -> str:
    """Return the folder of a set: the first of its names that is there.

    Args:
        fgvc_set (FGVCSet): The set.
        parent (str): The folder of all sets. Defaults to 'data/fgvc'.

    Returns:
        str: The folder; under its first name if it is under none.
    """
    names = (fgvc_set.folder, fgvc_set.name, *fgvc_set.aliases)
    folders = [osp.join(parent, name) for name in names]
    return next(filter(osp.isdir, folders), folders[0])
