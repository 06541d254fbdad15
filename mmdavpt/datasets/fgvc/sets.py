"""The five fine-grained (FGVC) datasets: names, sizes, folders."""

import os.path as osp
from dataclasses import dataclass

from ..names import find_by_name

#: The splits of every dataset, and the lists that each is read from.
SPLITS: dict[str, tuple[str, ...]] = {
    'train': ('train',),
    'val': ('val',),
    'trainval': ('train', 'val'),
    'test': ('test',),
}


@dataclass(frozen=True)
class FGVCSet:
    """A fine-grained dataset.

    Attributes:
        name (str): Its name in configs.
        title (str): Its name in papers.
        num_classes (int): Number of classes.
        counts (tuple[int, int, int]): Number of images in 'train', 'val' and
            'test'.
        image_dirs (tuple[str, ...]): Folders that the image paths of the
            lists may be relative to; '' is the folder of the dataset.
        aliases (tuple[str, ...]): Other names of the dataset and its folder;
            the first is the default folder.
    """

    name: str
    title: str
    num_classes: int
    counts: tuple[int, int, int]
    image_dirs: tuple[str, ...]
    aliases: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """dict[str, int]: Number of images of each split."""
        train, val, test = self.counts
        return dict(train=train, val=val, trainval=train + val, test=test)


_ROWS = (
    ('cub', 'CUB-200-2011', 200, (5394, 600, 5794), ('', 'images'))
    + (('CUB_200_2011', 'CUB200', 'CUB-200', 'CUB-200-2011'),),
    ('nabirds', 'NABirds', 555, (21536, 2393, 24633), ('', 'images'))
    + (('nabirds', 'NABIRDS555', 'NABirds'),),
    ('flowers', 'Oxford Flowers', 102, (1020, 1020, 6149), ('', 'jpg'))
    + (('flowers102', 'FLOWERS102', 'OxfordFlowers', 'OxfordFlower'),),
    ('dogs', 'Stanford Dogs', 120, (10800, 1200, 8580))
    + (('', 'Images', 'images'), ('StanfordDogs', 'DOGS120', 'Stanford-Dogs')),
    # Not cars_train and cars_test: both number their images from 1, so the
    # wrong one may hold an image of the same name.
    ('cars', 'Stanford Cars', 196, (7329, 815, 8041), ('', 'car_ims'))
    + (('StanfordCars', 'CARS196', 'Stanford-Cars'),),
)
#: The datasets by name. Sizes are those of the lists that VPT published (Jia
#: et al., "Visual Prompt Tuning", ECCV 2022); aliases in capitals are folders
#: in DA-VPT's released code.
SETS: dict[str, FGVCSet] = {row[0]: FGVCSet(*row) for row in _ROWS}


def set_from(name: str) -> FGVCSet:
    """Return a fine-grained dataset by its name, title, folder or alias.

    Args:
        name (str): The name; case and punctuation do not matter.

    Raises:
        UsageError: If there is no such dataset.
    """
    return find_by_name(name, SETS.values(), 'the fine-grained dataset')


def default_root(fgvc_set: FGVCSet, parent: str = 'data/fgvc') -> str:
    """Return the folder of a dataset: the first of its names that exists.

    Args:
        fgvc_set (FGVCSet): The dataset.
        parent (str): Folder of all datasets. Defaults to 'data/fgvc'.

    Returns:
        str: The folder; under its first name if none exists.
    """
    first, *others = fgvc_set.aliases
    folders = [osp.join(parent, n) for n in (first, fgvc_set.name, *others)]
    return next(filter(osp.isdir, folders), folders[0])
