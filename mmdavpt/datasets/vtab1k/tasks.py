"""The 19 tasks of VTAB-1k: names, sizes, folders."""

import os.path as osp

from mmdavpt.errors import UsageError

from ..benchmarks import Benchmark, find_by_name, first_folder

#: Number of images of every split but 'test'.
TRAINING_SIZES = dict(train800=800, val200=200, train800val200=1000)
SPLITS: tuple[str, ...] = (*TRAINING_SIZES, 'test')


#: Name, other names, title, number of classes and of test images, by group.
_ROWS = {
    'natural': (
        ('cifar', ('cifar100',), 'CIFAR-100', 100, 10000),
        ('caltech101', (), 'Caltech101', 102, 6084),
        ('dtd', (), 'DTD', 47, 1880),
        ('oxford_flowers102', ('flowers102', 'oxford_flowers'))
        + ('Flowers102', 102, 6149),
        ('oxford_iiit_pet', ('pets', 'oxford_pet'), 'Pets', 37, 3669),
        ('svhn', (), 'SVHN', 10, 26032),
        ('sun397', (), 'Sun397', 397, 21750),
    ),
    'specialized': (
        ('patch_camelyon', ('camelyon',), 'Patch Camelyon', 2, 32768),
        ('eurosat', (), 'EuroSAT', 10, 5400),
        ('resisc45', (), 'Resisc45', 45, 6300),
        ('diabetic_retinopathy', ('retinopathy',), 'Retinopathy', 5, 42670),
    ),
    'structured': (
        # 'clerv' is a typo in DA-VPT's released code.
        ('clevr_count', ('clerv_count',), 'Clevr/count', 8, 15000),
        ('clevr_dist', ('clevr_distance', 'clerv_dist'))
        + ('Clevr/distance', 6, 15000),
        ('dmlab', (), 'DMLab', 6, 22735),
        ('kitti', ('kitti_dist',), 'KITTI/distance', 4, 711),
        ('dsprites_loc', ('dspr_loc',), 'dSprites/loc', 16, 73728),
        ('dsprites_ori', ('dspr_ori',), 'dSprites/ori', 16, 73728),
        ('smallnorb_azi', (), 'SmallNORB/azi', 18, 12150),
        ('smallnorb_ele', (), 'SmallNORB/ele', 9, 12150),
    ),
}
#: The tasks by name, in the order of the paper's table. Folders are named as
#: in NOAH's copy of VTAB-1k, which others use as well; the numbers of classes
#: and test images are those of VTAB (Zhai et al., "A Large-scale Study of
#: Representation Learning with the Visual Task Adaptation Benchmark", 2019).
TASKS: dict[str, Benchmark] = {
    name: Benchmark(name, title, k, dict(TRAINING_SIZES, test=n), also, group)
    for group, rows in _ROWS.items()
    for name, also, title, k, n in rows
}
#: Group to the names of its tasks.
GROUPS = {group: [row[0] for row in rows] for group, rows in _ROWS.items()}


def task_from(name: str) -> Benchmark:
    """Return a task of VTAB-1k by its name, title or alias.

    Args:
        name (str): The name; case and punctuation do not matter.

    Raises:
        UsageError: If there is no such task.
    """
    return find_by_name(name, TASKS.values(), 'the task of VTAB-1k')


def folder_of(task: Benchmark, data_root: str) -> str:
    """Return the folder of a task: the first of its names that exists.

    Args:
        task (Benchmark): The task.
        data_root (str): Folder of all tasks.

    Returns:
        str: The folder.

    Raises:
        UsageError: If there is none.
    """
    names = (task.name, *task.aliases)
    folder = first_folder(data_root, names)
    if osp.isdir(folder):
        return folder
    raise UsageError(
        f'{data_root} has no folder {" or ".join(map(repr, names))} for '
        f'{task.title} of VTAB-1k; link the data there, set data_root, or '
        'write them with '
        'tools/dataset_converters/vtab1k.py (docs/data.md shows the layout)'
    )
