"""Verify the folder of a VTAB-1k task: lists, images, checksums."""

import multiprocessing
import os.path as osp
from collections import Counter
from functools import partial

from PIL import Image

from mmdavpt.datasets.benchmarks import Benchmark, read_class_names
from mmdavpt.datasets.image_files import BROKEN
from mmdavpt.datasets.list_files import read_labels
from mmdavpt.datasets.vtab1k import CLASSES_FILE, SPLITS, TASKS, task_from
from mmdavpt.errors import UsageError
from mmdavpt.progress import track

from ..checksums import CHECKSUMS_FILE, checksum_defects, read_checksums
from .writing import MANIFEST

Lists = dict[str, dict[str, int]]


def task_folders(folder: str) -> dict[str, Benchmark]:
    """Return the folders of tasks: a folder itself, or those in it.

    Args:
        folder (str): Folder of a task, or of several tasks.

    Returns:
        dict[str, Benchmark]: Task of each folder.

    Raises:
        UsageError: If there is none.
    """
    names = {n: t for t in TASKS.values() for n in t.names}
    if any(osp.exists(osp.join(folder, f'{split}.txt')) for split in SPLITS):
        return {folder: task_from(osp.basename(osp.abspath(folder)))}
    folders = {osp.join(folder, name): task for name, task in names.items()}
    found = {path: task for path, task in folders.items() if osp.isdir(path)}
    if not found:
        raise UsageError(
            f'{folder} has neither lists nor folders of tasks of VTAB-1k; '
            f'give the folder of one of {", ".join(TASKS)}, or its parent'
        )
    return found


def task_defects(
    folder: str,
    task: Benchmark,
    num_workers: int = 0,
    check_size: bool = True,
) -> list[str]:
    """Verify the folder of a task, from this converter or elsewhere.

    Check counts, labels and class names, that 'train800val200' has the
    labels of both of its parts, that each image decodes, and that each file
    matches its checksum, if there are checksums.

    Args:
        folder (str): Folder of the task.
        task (Benchmark): The task.
        num_workers (int): Number of processes; 0 uses this process.
            Defaults to 0.
        check_size (bool): Whether to check the number of images against the
            published one. Defaults to True.

    Returns:
        list[str]: One line per defect.
    """
    lists, defects = _read_lists(folder, task, check_size)
    try:
        names = osp.join(folder, CLASSES_FILE)
        read_class_names(names, range(task.num_classes))
    except UsageError as error:
        defects.append(str(error))
    try:
        checksums = read_checksums(folder)
    except UsageError as error:
        defects.append(str(error))
        checksums = None
    else:
        defects += _unfinished(folder, lists, checksums)
    files = checksum_defects(folder, checksums) if checksums else {}
    images = dict.fromkeys(name for rows in lists.values() for name in rows)
    # Report an image once: a decoding error says more than a checksum.
    files.update(_undecodable(folder, list(images), num_workers))
    return defects + [
        f'{osp.join(folder, name)} {defect}' for name, defect in files.items()
    ]


def _read_lists(
    folder: str, task: Benchmark, check_size: bool
) -> tuple[Lists, list[str]]:
    """Return the readable lists, and the defects of all lists."""
    lists: Lists = {}
    defects = []
    numbers = {str(label): label for label in range(task.num_classes)}
    for split, expected in task.sizes.items():
        path = osp.join(folder, f'{split}.txt')
        try:
            lists[split] = read_labels(path, numbers)
        except UsageError as error:
            defects.append(str(error))
            continue
        if check_size and len(lists[split]) != expected:
            defects.append(
                f'{path} has {len(lists[split])} images, but {task.title} '
                f'of VTAB-1k has {expected}'
            )
    if set(lists) == set(SPLITS):
        labels = {s: Counter(lists[s].values()) for s in lists}
        both = labels['train800'] + labels['val200']
        if labels['train800val200'] != both:
            defects.append(
                f'{folder}: the labels of train800val200.txt differ from '
                'those of train800.txt and val200.txt'
            )
    return lists, defects


def _unfinished(
    folder: str, lists: Lists, checksums: dict[str, str] | None
) -> list[str]:
    """Return the defects of an interrupted conversion."""
    if checksums is None:
        if osp.exists(osp.join(folder, MANIFEST)):
            return [
                f'{folder} is incomplete: it has {MANIFEST} but no '
                f'{CHECKSUMS_FILE}; run the converter again'
            ]
        return []
    unknown = [
        name
        for rows in lists.values()
        for name in rows
        if name not in checksums
    ]
    if unknown:
        return [
            f'{folder}: {len(unknown)} listed images, such as {unknown[0]}, '
            f'are not in {CHECKSUMS_FILE}'
        ]
    return []


def _undecodable(
    folder: str, names: list[str], num_workers: int
) -> dict[str, str]:
    """Return the decoding errors of images by name."""
    decode = partial(image_defect, folder)
    if num_workers == 0:
        return _gather(map(decode, names), len(names))
    with multiprocessing.Pool(num_workers) as pool:
        return _gather(pool.imap(decode, names, chunksize=64), len(names))


def _gather(found, total: int) -> dict[str, str]:
    bar = track(found, 'images', total)
    return {name: defect for name, defect in bar if defect is not None}


def image_defect(folder: str, name: str) -> tuple[str, str | None]:
    """Decode an image.

    Args:
        folder (str): Folder of the task.
        name (str): Path of the image in it.

    Returns:
        tuple[str, str | None]: The name, and the error, if any.
    """
    try:
        with Image.open(osp.join(folder, name)) as image:
            image.load()
    except FileNotFoundError:
        return name, 'does not exist'
    except BROKEN as error:
        reason = str(error).replace(osp.join(folder, name), 'the file')
        return name, f'cannot be decoded ({reason})'
    return name, None
