"""List the files of a folder, and tell which of them a loader reads."""

import os
import os.path as osp
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

import cv2
import mmcv
from mmengine.logging import MMLogger
from PIL import Image

from mmdavpt.errors import UsageError, first_few

from .image_files import BROKEN

#: Folders that systems make, with copies of images: macOS, Synology.
SYSTEM_FOLDERS = ('__MACOSX', '@eaDir')
#: How many files of an unknown extension are opened.
TRIALS = 3


def list_files(root: str) -> tuple[list[str], list[str], list[str]]:
    """List a folder with all folders in it; links are followed.

    Args:
        root (str): The folder.

    Returns:
        tuple[list[str], list[str], list[str]]: Files, folders, and hidden
        files and folders, sorted, relative to ``root``. What is in a hidden
        folder is not listed. A link to a folder around it is left out.

    Raises:
        UsageError: If a folder does not exist or cannot be read.
    """
    files, folders, hidden = [], [], []
    pending = [('', frozenset())]
    try:
        while pending:
            prefix, above = pending.pop()
            status = os.stat(osp.join(root, prefix))
            here = (status.st_dev, status.st_ino)
            with os.scandir(osp.join(root, prefix)) as entries:
                for entry in () if here in above else entries:
                    path = prefix + entry.name
                    if entry.name[0] == '.' or entry.name in SYSTEM_FOLDERS:
                        hidden.append(path)
                    elif (
                        osp.isdir(entry)
                        if entry.is_symlink()
                        else (entry.is_dir())
                    ):
                        folders.append(path)
                        pending.append((f'{path}/', above | {here}))
                    else:
                        files.append(path)
    except OSError as error:
        raise UsageError(
            f'the folder {error.filename} cannot be read ({error.strerror})'
        ) from error
    return sorted(files), sorted(folders), sorted(hidden)


def loading_backend(transforms: Iterable[object]) -> str:
    """Return the library with which a pipeline decodes images.

    Args:
        transforms (Iterable): The transforms of the pipeline.
    """
    for transform in transforms:
        if type(transform).__name__.startswith('LoadImage'):
            backend = getattr(transform, 'imdecode_backend', 'cv2')
            return backend or mmcv.image.io.imread_backend
    return 'cv2'


def split_readable(
    root: str, files: list[str], backend: str
) -> tuple[list[str], list[str]]:
    """Separate images from files that a loader does not read.

    An image has an extension, in any case, that the library knows. A few
    files of every other extension are opened, and each file without one.

    Args:
        root (str): The folder.
        files (list[str]): The files, relative to it.
        backend (str): The library, such as 'cv2' or 'pillow'.

    Returns:
        tuple[list[str], list[str]]: Images and other files, in their order.
    """
    kinds = defaultdict(list)
    for file in files:
        kinds[osp.splitext(file)[1].lower() or file].append(file)
    other = {
        file
        for kind, group in kinds.items()
        if not (kind[0] == '.' and _is_known(kind, backend))
        and not any(
            _has_signature(osp.join(root, file), backend)
            for file in group[:TRIALS]
        )
        for file in group
    }
    images = [file for file in files if file not in other]
    return images, [file for file in files if file in other]


def _is_known(extension: str, backend: str) -> bool:
    if backend == 'cv2':  # It lists no readers; each writer has one.
        return cv2.haveImageWriter(f'image{extension}')
    return Image.registered_extensions().get(extension) in Image.OPEN


def _has_signature(path: str, backend: str) -> bool:
    if backend == 'cv2':
        return cv2.haveImageReader(path)
    try:
        with Image.open(path):
            return True
    except BROKEN:
        return False


def normalize_name(name: str) -> str:
    """Return a name with composed accents, which macOS takes apart.

    Args:
        name (str): The name of a file, folder or class.
    """
    return unicodedata.normalize('NFC', name)


def log_skipped(root: str, skipped: dict[str, list[str]]) -> None:
    """Log one line on the files that a dataset does not use, if any.

    Args:
        root (str): The folder of the dataset.
        skipped (dict[str, list[str]]): Reason to files.
    """
    reasons = [
        f'{len(files)} {reason} ({first_few(map(osp.basename, files))})'
        for reason, files in skipped.items()
        if files
    ]
    if reasons:
        MMLogger.get_current_instance().warning(
            f'{root}: files that are not used: {"; ".join(reasons)}'
        )
