"""Reader of the 19 tasks of VTAB-1k with the lists that most projects use."""

import os.path as osp

from mmdavpt.errors import UsageError
from mmdavpt.registry import DATASETS

from .benchmarks import Benchmark, BenchmarkDataset, find_by_name, read_table
from .list_files import read_labels, to_samples

#: Number of images of every split but 'test'.
TRAINING_SIZES = dict(train800=800, val200=200, train800val200=1000)
SPLITS: tuple[str, ...] = (*TRAINING_SIZES, 'test')

#: The tasks by name, in the order of the paper's table. Folders are named as
#: in NOAH's copy of VTAB-1k, which others use as well ('clerv' is a typo in
#: DA-VPT's released code); the numbers of classes and test images are those
#: of VTAB (Zhai et al., "A Large-scale Study of Representation Learning with
#: the Visual Task Adaptation Benchmark", 2019).
TASKS = read_table('vtab1k.csv', SPLITS)
#: Group to the names of its tasks.
GROUPS: dict[str, list[str]] = {}
for _task in TASKS.values():
    GROUPS.setdefault(_task.group, []).append(_task.name)


def task_from(name: str) -> Benchmark:
    """Return a task of VTAB-1k by its name, title or alias.

    Args:
        name (str): The name; case and punctuation do not matter.

    Raises:
        UsageError: If there is no such task.
    """
    return find_by_name(name, TASKS.values(), 'the task of VTAB-1k')


#: The optional file of class names in the folder of a task.
CLASSES_FILE = 'classes.txt'


@DATASETS.register_module()
class VTAB1k(BenchmarkDataset):
    """A task of VTAB-1k: 1,000 training images and all test images.

    The folder of the task in ``data_root`` holds ``train800.txt``,
    ``val200.txt``, ``train800val200.txt`` and ``test.txt``. Their lines, such
    as ``images/test/000000.jpg 3``, are the path of an image in that folder,
    in any format, and its label. A training split need not have images of
    every class. Images are not opened here.

    Args:
        task (str): A name in ``TASKS``, or an alias.
        split (str): 'train800' (to tune settings on 'val200'), 'val200',
            'train800val200' (both of these) or 'test'.
        data_root (str): Folder of all tasks. The folder of the task has its
            name or an alias. Defaults to 'data/vtab-1k'.
        check_size (bool): Whether to check the number of images against the
            published one. Defaults to True.
        **kwargs: See :class:`mmpretrain.datasets.BaseDataset`. Class names
            given there replace those of ``classes.txt`` in the folder of the
            task; without either, the labels serve as names.

    Raises:
        UsageError: If the task or the split is unknown, the folder or a list
            is missing, a line is malformed, a label is out of range, an image
            is listed twice, or the list has another size.
    """

    def __init__(
        self, task: str, split: str, data_root: str = 'data/vtab-1k', **kwargs
    ) -> None:
        kwargs['data_root'] = osp.expanduser(data_root)
        super().__init__(task_from(task), split, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find the folder of the task and read the list of the split."""
        task = self.benchmark
        folder = task.folder_in(self.data_root)
        if not osp.isdir(folder):
            raise UsageError(
                f'{self.data_root} has no folder '
                f'{" or ".join(map(repr, task.names))} for {task.title} of '
                'VTAB-1k; link the data there, set data_root, or write them '
                'with tools/dataset_converters/vtab1k.py (docs/data.md shows '
                'the layout)'
            )
        self.data_prefix['img_path'] = folder
        path = osp.join(folder, f'{self.split}.txt')
        numbers = {str(k): k for k in range(task.num_classes)}
        entries = read_labels(path, numbers)
        self.check_count(path, len(entries), task.sizes[self.split])
        self.name_classes(osp.join(folder, CLASSES_FILE), [*numbers])
        return to_samples(folder, entries.items())
