"""The 19 tasks of VTAB-1k, read from the lists that most projects use."""

import os.path as osp
from collections.abc import Sequence

from mmpretrain.datasets import BaseDataset

from mmdavpt.errors import UsageError
from mmdavpt.registry import DATASETS

from .lists import read_class_names, read_split
from .tasks import SPLITS, TASKS, VTABTask, folder_of, task_from

__all__ = ['SPLITS', 'TASKS', 'VTAB1k', 'VTABTask', 'folder_of', 'task_from']


@DATASETS.register_module()
class VTAB1k(BaseDataset):
    """A task of VTAB-1k: 1,000 training images and all test images.

    The folder of the task in ``data_root`` holds ``train800.txt``,
    ``val200.txt``, ``train800val200.txt`` and ``test.txt``, with lines such as
    ``images/test/000000.jpg 3``: the path of an image in that folder, of any
    format, and its label. A training split need not have images of every
    class. No image is opened here.

    Args:
        task (str): A name out of ``TASKS``, or an alias.
        split (str): 'train800' to train with while settings are chosen by
            'val200', 'train800val200' (both of these) or 'test'.
        data_root (str): The folder of all tasks. That of the task is named
            after it or after an alias. Defaults to 'data/vtab-1k'.
        pipeline (Sequence): Transforms. Defaults to ().
        check_size (bool): Whether to compare the number of images with the
            published one. Defaults to True.
        **kwargs: Of :class:`mmpretrain.datasets.BaseDataset`. Class names
            given there replace those of ``classes.txt`` in the folder of the
            task; without either, the labels serve as names.

    Raises:
        UsageError: If the task or the split is unknown, the folder or a list
            is missing, a line is malformed, a label is out of range, an image
            is listed twice, or the list has another size.
    """

    def __init__(
        self,
        task: str,
        split: str,
        data_root: str = 'data/vtab-1k',
        pipeline: Sequence = (),
        check_size: bool = True,
        **kwargs,
    ) -> None:
        self.task = task_from(task)
        if split not in SPLITS:
            raise UsageError(
                f'the split should be one of {list(SPLITS)}, but got {split!r}'
            )
        self.split = split
        self.check_size = check_size
        super().__init__(
            ann_file='',
            data_root=osp.expanduser(data_root),
            pipeline=pipeline,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Find the folder of the task and read the list of the split."""
        folder = folder_of(self.task, self.data_root)
        self.data_prefix['img_path'] = folder
        path = osp.join(folder, f'{self.split}.txt')
        entries = read_split(path, self.task.num_classes)
        wanted = self.task.sizes[self.split]
        if self.check_size and len(entries) != wanted:
            raise UsageError(
                f'{path} lists {len(entries)} images, but {self.task.title} '
                f'of VTAB-1k has {wanted} in it; replace it by the whole '
                'list, or read another selection with check_size=False'
            )
        if 'classes' not in self._metainfo:
            names = read_class_names(folder, self.task.num_classes)
            if names is None:
                names = map(str, range(self.task.num_classes))
            self._metainfo['classes'] = tuple(names)
        return [
            dict(img_path=osp.join(folder, image), gt_label=label)
            for image, label in entries
        ]

    def extra_repr(self) -> list[str]:
        """Return the lines that tell this dataset from others."""
        return [
            f'Task and split: \t{self.task.title}, {self.split}',
            f'Root of dataset: \t{self.data_root}',
        ]
