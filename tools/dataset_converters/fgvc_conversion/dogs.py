"""Read Stanford Dogs: lists of files and labels in MATLAB files."""

import os.path as osp

from .matlab import paired, read_mat
from .original import Original


def read_dogs(folder: str) -> Original:
    """Read Stanford Dogs.

    Args:
        folder (str): It has ``Images/``, and ``train_list.mat`` and
            ``test_list.mat`` in itself or in ``lists/``.

    Raises:
        UsageError: If a file is missing or malformed.
    """
    parts = {}
    for part in ('train', 'test'):
        name = f'{part}_list.mat'
        files, classes = read_mat(
            folder, [name, f'lists/{name}'], ['file_list', 'labels']
        )
        parts[part] = paired(files, classes, folder)
    image_dirs = ('Images', 'images')
    return Original(
        **parts,
        image_dir=next(
            (d for d in image_dirs if osp.isdir(osp.join(folder, d))),
            image_dirs[0],
        ),
        # n02085620-Chihuahua/n02085620_5927.jpg
        class_names={
            class_id: path.split('/')[0].split('-', 1)[-1].replace('_', ' ')
            for path, class_id in parts['train'].items()
        },
    )
