"""What is known of the 19 tasks of VTAB-1k."""

import os.path as osp
from dataclasses import dataclass

from mmdavpt.errors import UsageError

#: The splits of every task but 'test', and their numbers of images.
TRAINING_SIZES: dict[str, int] = {
    'train800': 800,
    'val200': 200,
    'train800val200': 1000,
}
SPLITS: tuple[str, ...] = (*TRAINING_SIZES, 'test')


@dataclass(frozen=True)
class VTABTask:
    """What is known of a task of VTAB-1k.

    Attributes:
        name (str): The name to ask for it, and of its folder.
        aliases (tuple[str, ...]): Other names, and other names of its folder.
        group (str): 'natural', 'specialized' or 'structured'.
        title (str): What the paper's table calls it.
        num_classes (int): The number of classes.
        test_size (int): The number of test images.
    """

    name: str
    aliases: tuple[str, ...]
    group: str
    title: str
    num_classes: int
    test_size: int

    @property
    def sizes(self) -> dict[str, int]:
        """dict[str, int]: The number of images of each split."""
        return {**TRAINING_SIZES, 'test': self.test_size}


def _group(group: str, *rows: tuple) -> tuple[VTABTask, ...]:
    return tuple(
        VTABTask(name, aliases, group, *known)
        for name, aliases, *known in rows
    )


#: The tasks by name, in the order of the paper's table. Folders are named as
#: in NOAH's copy of VTAB-1k, which others use as well; the numbers of classes
#: and of test images are those of VTAB (Zhai et al., "A Large-scale Study of
#: Representation Learning with the Visual Task Adaptation Benchmark", 2019).
#: 'clerv_count' is a slip in DA-VPT's released code.
TASKS: dict[str, VTABTask] = {
    task.name: task
    for task in (
        *_group(
            'natural',
            ('cifar', ('cifar100',), 'CIFAR-100', 100, 10000),
            ('caltech101', (), 'Caltech101', 102, 6084),
            ('dtd', (), 'DTD', 47, 1880),
            (
                'oxford_flowers102',
                ('flowers102', 'oxford_flowers'),
                'Flowers102',
                102,
                6149,
            ),
            ('oxford_iiit_pet', ('pets', 'oxford_pet'), 'Pets', 37, 3669),
            ('svhn', (), 'SVHN', 10, 26032),
            ('sun397', (), 'Sun397', 397, 21750),
        ),
        *_group(
            'specialized',
            ('patch_camelyon', ('camelyon',), 'Patch Camelyon', 2, 32768),
            ('eurosat', (), 'EuroSAT', 10, 5400),
            ('resisc45', (), 'Resisc45', 45, 6300),
            (
                'diabetic_retinopathy',
                ('retinopathy',),
                'Retinopathy',
                5,
                42670,
            ),
        ),
        *_group(
            'structured',
            ('clevr_count', ('clerv_count',), 'Clevr/count', 8, 15000),
            (
                'clevr_dist',
                ('clevr_distance', 'clerv_dist'),
                'Clevr/distance',
                6,
                15000,
            ),
            ('dmlab', (), 'DMLab', 6, 22735),
            ('kitti', ('kitti_dist',), 'KITTI/distance', 4, 711),
            ('dsprites_loc', ('dspr_loc',), 'dSprites/loc', 16, 73728),
            ('dsprites_ori', ('dspr_ori',), 'dSprites/ori', 16, 73728),
            ('smallnorb_azi', (), 'SmallNORB/azi', 18, 12150),
            ('smallnorb_ele', (), 'SmallNORB/ele', 9, 12150),
        ),
    )
}


def _plain(name: str) -> str:
    return ''.join(c for c in name.lower() if c.isalnum())


def task_from(name: str) -> VTABTask:
    """Return a task of VTAB-1k by its name or an alias.

    Capitals, spaces, hyphens and underscores make no difference.

    Args:
        name (str): The name.

    Raises:
        UsageError: If there is no such task.
    """
    for task in TASKS.values():
        known = (task.name, task.title, *task.aliases)
        if _plain(str(name)) in map(_plain, known):
            return task
    raise UsageError(
        f'the task of VTAB-1k should be one of {list(TASKS)}, but got {name!r}'
    )


def folder_of(task: VTABTask, data_root: str) -> str:
    """Return the folder of a task: the first of its names that is there.

    Args:
        task (VTABTask): The task.
        data_root (str): The folder of all tasks.

    Returns:
        str: The folder.

    Raises:
        UsageError: If there is none.
    """
    for name in (task.name, *task.aliases):
        folder = osp.join(data_root, name)
        if osp.isdir(folder):
            return folder
    names = ' or '.join(repr(name) for name in (task.name, *task.aliases))
    problem = f'holds no folder {names}' * osp.isdir(data_root)
    raise UsageError(
        f'{task.title} of VTAB-1k is looked for in {data_root}, but it '
        f'{problem or "does not exist"}; put or link the data there, give '
        'another data_root, or write them with '
        'tools/dataset_converters/vtab1k.py (docs/data.md shows the layout)'
    )
