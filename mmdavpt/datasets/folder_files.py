"""List the files of a folder, and tell which of them a loader reads."""

import mimetypes
import os
import os.path as osp
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

import cv2
import mmcv
from PIL import Image

from mmdavpt.errors import UsageError

from .hidden_files import is_hidden
from .image_files import BROKEN


def list_files(root: str) -> tuple[list[str], list[str], list[str]]:
    """List a folder with all folders in it; links are followed.

    Args:
        root (str): The folder.

    Returns:
        tuple[list[str], list[str], list[str]]: Files, folders, and hidden
        files and folders, sorted, relative to ``root``. A hidden folder, and
        a link to a folder around it, are not listed further.

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
            if here in above:
                continue
            with os.scandir(osp.join(root, prefix)) as entries:
                for entry in entries:
                    path = prefix + entry.name
                    if is_hidden(entry.name):
                        hidden.append(path)
                    elif _is_folder(entry):
                        folders.append(path)
                        pending.append((f'{path}/', above | {here}))
                    else:
                        files.append(path)
    except OSError as error:
        raise UsageError(
            f'the folder {error.filename} cannot be read ({error.strerror})'
        ) from error
    return sorted(files), sorted(folders), sorted(hidden)


def _is_folder(entry: os.DirEntry) -> bool:
    # `entry.is_dir` raises for a link to itself.
    return osp.isdir(entry) if entry.is_symlink() else entry.is_dir()


def reads(path: str, backend: str) -> bool:
    """Return whether a library reads a file, by its extension or first bytes.

    Args:
        path (str): The file. If its extension is known, it is not opened.
        backend (str): The library.
    """
    if backend == 'cv2':  # It lists no readers, but each writer has one.
        return cv2.haveImageWriter(path) or cv2.haveImageReader(path)
    extension = osp.splitext(path)[1].lower()
    if Image.registered_extensions().get(extension) in Image.OPEN:
        return True
    try:
        with Image.open(path):
            return True
    except BROKEN:
        return False


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


def normalize_name(name: str) -> str:
    """Return a name with composed accents, which macOS takes apart.

    Args:
        name (str): The name of a file, folder or class.
    """
    return unicodedata.normalize('NFC', name)


def by_extension(paths: Iterable[str]) -> str:
    """Return the number of files of each extension, most frequent first.

    Args:
        paths (Iterable[str]): The files.

    Returns:
        str: Such as '9 .webp (such as a.webp), 1 .JPG (c.JPG)'.
    """
    groups = defaultdict(list)
    for path in paths:
        groups[osp.splitext(path)[1] or 'without extension'].append(path)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return ', '.join(
        f'{len(files)} {suffix} ({"such as " * (len(files) > 1)}{files[0]})'
        for suffix, files in ordered
    )


def is_picture(path: str) -> bool:
    """Return whether the extension of a file, in any case, is of an image.

    Args:
        path (str): The file.
    """
    return (mimetypes.guess_type(path, False)[0] or '').startswith('image/')
