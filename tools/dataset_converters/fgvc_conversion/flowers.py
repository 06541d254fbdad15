"""Read Oxford Flowers-102: image numbers in MATLAB files."""

import os.path as osp

from mmdavpt.errors import UsageError

from .matlab import integers, read_mat
from .original import Original


def read_flowers(folder: str) -> Original:
    """Read Oxford Flowers-102, which has official validation images.

    Args:
        folder (str): It has ``imagelabels.mat``, ``setid.mat`` and ``jpg/``.

    Raises:
        UsageError: If a file is missing or malformed.
    """
    classes = integers(
        *read_mat(folder, ['imagelabels.mat'], ['labels']), folder
    )
    splits = read_mat(folder, ['setid.mat'], ['trnid', 'valid', 'tstid'])
    entries = []
    for numbers in (integers(split, folder) for split in splits):
        if not all(1 <= n <= len(classes) for n in numbers):
            raise UsageError(
                f'{osp.join(folder, "setid.mat")} names images beyond the '
                f'{len(classes)} of imagelabels.mat; download them again'
            )
        entries.append(
            {f'jpg/image_{n:05d}.jpg': classes[n - 1] for n in numbers}
        )
    return Original(train=entries[0], val=entries[1], test=entries[2])
