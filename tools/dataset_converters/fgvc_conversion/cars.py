"""Read Stanford Cars: annotations in MATLAB files, in two layouts."""

import os.path as osp

from .matlab import columns, integers, paired, read_mat, strings
from .original import Original


def read_cars(folder: str) -> Original:
    """Read Stanford Cars in either of its two layouts.

    Args:
        folder (str): It has ``cars_annos.mat`` and ``car_ims/``; or
            ``cars_train/``, ``cars_test/`` and ``devkit/`` with
            ``cars_train_annos.mat``, ``cars_meta.mat`` and
            ``cars_test_annos_withlabels.mat``, also in the folder.

    Raises:
        UsageError: If a file is missing or malformed.
    """
    has_devkit = osp.isfile(osp.join(folder, 'devkit/cars_train_annos.mat'))
    if osp.isfile(osp.join(folder, 'cars_annos.mat')) and (
        osp.isdir(osp.join(folder, 'car_ims')) or not has_devkit
    ):
        rows, names = read_mat(
            folder, ['cars_annos.mat'], ['annotations', 'class_names']
        )
        paths, classes, flags = columns(
            rows, ['relative_im_path', 'class', 'test'], folder
        )
        flags = integers(flags, folder)
        every = paired(paths, classes, folder)
        parts = [
            {
                path: class_id
                for (path, class_id), in_test in zip(
                    every.items(), flags, strict=True
                )
                if bool(in_test) == expected
            }
            for expected in (False, True)
        ]
    else:
        (names,) = read_mat(folder, ['devkit/cars_meta.mat'], ['class_names'])
        labelled = 'cars_test_annos_withlabels.mat'
        parts = []
        for image_dir, files in (
            ('cars_train', ['devkit/cars_train_annos.mat']),
            ('cars_test', [f'devkit/{labelled}', labelled]),
        ):
            (rows,) = read_mat(folder, files, ['annotations'])
            paths, classes = columns(rows, ['fname', 'class'], folder)
            paths = [f'{image_dir}/{path}' for path in paths]
            parts.append(paired(paths, classes, folder))
    return Original(*parts, class_names=dict(enumerate(strings(names), 1)))
