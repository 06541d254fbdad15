"""Check the folder of a VTAB-1k task: lists, images, checksums."""

import multiprocessing
import os.path as osp
from collections import Counter
from functools import partial

from PIL import Image

from mmdavpt.datasets.image_files import BROKEN
from mmdavpt.datasets.vtab1k.lists import read_class_names, read_split
from mmdavpt.datasets.vtab1k.tasks import SPLITS, TASKS, VTABTask, task_from
from mmdavpt.errors import UsageError

from ..checksums import CHECKSUMS_FILE, checksum_defects, read_checksums
from ..file_writing import track
from .writing import MANIFEST

Lists = dict[str, list[tuple[str, int]]]


def task_folders(folder: str) -> dict[str, VTABTask]:
    """Return the folders of tasks: the given one, or those in it.

    Args:
        folder (str): The folder of a task, or of several.

    Returns:
        dict[str, VTABTask]: The task of each folder.

    Raises:
        UsageError: If there is none.
    """
    names = {n: t for t in TASKS.values() for n in (t.name, *t.aliases)}
    if any(osp.exists(osp.join(folder, f'{split}.txt')) for split in SPLITS):
        return {folder: task_from(osp.basename(osp.abspath(folder)))}
    folders = {osp.join(folder, name): task for name, task in names.items()}
    found = {path: task for path, task in folders.items() if osp.isdir(path)}
    if not found:
        raise UsageError(
            f'{folder} holds neither lists of a task of VTAB-1k nor folders '
            f'of tasks; give one of {", ".join(TASKS)}, or the folder around '
            'them'
        )
    return found


def task_defects(
    folder: str,
    task: VTABTask,
    num_workers: int = 0,
    check_size: bool = True,
) -> list[str]:
    """Check the folder of a task, of this package or of any other.

    Counts, labels and class names are checked, that the images of
    'train800val200' are those of both of its parts, that each image decodes,
    and that each file has its checksum, where there are checksums.

    Args:
        folder (str): The folder of the task.
        task (VTABTask): The task.
        num_workers (int): Processes that decode; 0 decodes in this one.
            Defaults to 0.
        check_size (bool): Whether to compare the number of images with the
            published one. Defaults to True.

    Returns:
        list[str]: A sentence for each defect.
    """
    lists, defects = _read_lists(folder, task, check_size)
    try:
        read_class_names(folder, task.num_classes)
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
    images = dict.fromkeys(name for rows in lists.values() for name, _ in rows)
    # What decodes wrongly is said once, in the words that tell more.
    files.update(_undecodable(folder, list(images), num_workers))
    return defects + [
        f'{osp.join(folder, name)} {defect}' for name, defect in files.items()
    ]


def _read_lists(
    folder: str, task: VTABTask, check_size: bool
) -> tuple[Lists, list[str]]:
    """Return the lists that can be read, and what is wrong with them."""
    lists: Lists = {}
    defects = []
    for split, wanted in task.sizes.items():
        path = osp.join(folder, f'{split}.txt')
        try:
            lists[split] = read_split(path, task.num_classes)
        except UsageError as error:
            defects.append(str(error))
            continue
        if check_size and len(lists[split]) != wanted:
            defects.append(
                f'{path} lists {len(lists[split])} images, but {task.title} '
                f'of VTAB-1k has {wanted} in it'
            )
    if set(lists) == set(SPLITS):
        labels = {s: Counter(label for _, label in lists[s]) for s in lists}
        both = labels['train800'] + labels['val200']
        if labels['train800val200'] != both:
            defects.append(
                f'{folder}: train800val200.txt should have the labels of '
                'train800.txt and val200.txt together, but it has not'
            )
    return lists, defects


def _unfinished(
    folder: str, lists: Lists, checksums: dict[str, str] | None
) -> list[str]:
    """Return what a stop of the converter left undone."""
    if checksums is None:
        if osp.exists(osp.join(folder, MANIFEST)):
            return [
                f'{folder} is not finished: it has {MANIFEST} without '
                f'{CHECKSUMS_FILE}; run the converter again'
            ]
        return []
    unknown = [
        name
        for rows in lists.values()
        for name, _ in rows
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
    """Return what is wrong with images, by name."""
    decode = partial(image_defect, folder)
    if num_workers == 0:
        return _gather(map(decode, names), len(names))
    with multiprocessing.Pool(num_workers) as pool:
        return _gather(pool.imap(decode, names, chunksize=64), len(names))


def _gather(found, total: int) -> dict[str, str]:
    bar = track(found, total, 'images')
    return {name: defect for name, defect in bar if defect is not None}


def image_defect(folder: str, name: str) -> tuple[str, str | None]:
    """Decode an image.

    Args:
        folder (str): The folder of the task.
        name (str): Path of the image relative to it.

    Returns:
        tuple[str, str | None]: The name, and what is wrong, if anything.
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
