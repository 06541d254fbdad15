"""List the files of a folder, and tell which of them a loader reads."""

import mimetypes
import os
import os.path as osp
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import cv2
import mmcv
from PIL import Image

from mmdavpt.errors import UsageError

from .image_files import pillow_opens

#: What macOS, Windows and network disks write without a dot in front.
SYSTEM_NAMES = '__MACOSX @eaDir lost+found Thumbs.db desktop.ini'.split()


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is not part of the data.

    Args:
        name (str): Its name without folders, such as '.ipynb_checkpoints'.
    """
    return name.startswith('.') or name in SYSTEM_NAMES


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
    for place, inner, names in os.walk(root, True, _fail, followlinks=True):
        paths = {name: osp.join(place, name) for name in (*inner, *names)}
        hidden += [paths[name] for name in paths if is_hidden(name)]
        files += [paths[name] for name in names if not is_hidden(name)]
        visible = [name for name in inner if not is_hidden(name)]
        folders += [paths[name] for name in visible]
        inner[:] = [n for n in visible if not _is_loop(Path(paths[n]))]
    start = len(osp.join(root, ''))
    relative = ([path[start:] for path in k] for k in (files, folders, hidden))
    return tuple(map(sorted, relative))


def _is_loop(path: Path) -> bool:
    """Return whether a folder is a link to a folder around it."""
    return path.is_symlink() and any(map(path.samefile, path.parents))


def _fail(error: OSError) -> None:
    raise UsageError(
        f'the folder {error.filename} cannot be read ({error.strerror})'
    ) from error


def reads(path: str, backend: str) -> bool:
    """Return whether a library reads a file, by its extension or first bytes.

    Args:
        path (str): The file. If its extension is known, it is not opened.
        backend (str): The library.
    """
    if backend == 'cv2':  # It lists no readers, but each writer has one.
        return cv2.haveImageWriter(path) or cv2.haveImageReader(path)
    extension = osp.splitext(path)[1].lower()
    known = Image.registered_extensions().get(extension) in Image.OPEN
    return known or pillow_opens(path)


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


def media_type(path: str) -> str:
    """Return the kind of a file by its extension, in any case.

    Args:
        path (str): The file.

    Returns:
        str: Such as 'image' or 'video'; '' if the extension is unknown.
    """
    return (mimetypes.guess_type(path, False)[0] or '').partition('/')[0]
