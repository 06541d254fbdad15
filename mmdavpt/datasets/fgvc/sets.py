"""The five fine-grained (FGVC) datasets: names, sizes, folders."""

from ..benchmarks import Benchmark, find_by_name, first_folder

#: The splits of every dataset, and the lists that each is read from.
SPLITS: dict[str, tuple[str, ...]] = {
    'train': ('train',),
    'val': ('val',),
    'trainval': ('train', 'val'),
    'test': ('test',),
}


_IMAGES = ('', 'images')
#: Name, title, number of classes and of images in 'train', 'val' and 'test',
#: folders of images, and other names; the first is the default folder.
_ROWS = (
    ('cub', 'CUB-200-2011', 200, (5394, 600, 5794), _IMAGES)
    + (('CUB_200_2011', 'CUB200', 'CUB-200', 'CUB-200-2011'),),
    ('nabirds', 'NABirds', 555, (21536, 2393, 24633), _IMAGES)
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


def _sizes(train: int, val: int, test: int) -> dict[str, int]:
    return dict(train=train, val=val, trainval=train + val, test=test)


#: The datasets by name. Sizes are those of the lists that VPT published (Jia
#: et al., "Visual Prompt Tuning", ECCV 2022); aliases in capitals are folders
#: in DA-VPT's released code.
SETS: dict[str, Benchmark] = {
    name: Benchmark(name, title, k, _sizes(*sizes), aliases, 'FGVC', dirs)
    for name, title, k, sizes, dirs, aliases in _ROWS
}


def set_from(name: str) -> Benchmark:
    """Return a fine-grained dataset by its name, title, folder or alias.

    Args:
        name (str): The name; case and punctuation do not matter.

    Raises:
        UsageError: If there is no such dataset.
    """
    return find_by_name(name, SETS.values(), 'the fine-grained dataset')


def default_root(fgvc_set: Benchmark, parent: str = 'data/fgvc') -> str:
    """Return the folder of a dataset: the first of its names that exists.

    Args:
        fgvc_set (Benchmark): The dataset.
        parent (str): Folder of all datasets. Defaults to 'data/fgvc'.

    Returns:
        str: The folder; under its first name if none exists.
    """
    first, *others = fgvc_set.aliases
    return first_folder(parent, (first, fgvc_set.name, *others))
