"""Find image files, those that a loader reads, and damaged ones."""

import io
import mimetypes
import os
import os.path as osp
import struct
import unicodedata
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import cv2
import mmcv
from PIL import Image

from mmdavpt.errors import UsageError

#: First bytes of formats that mark their end, the mark, and their names.
ENDINGS = {
    b'\xff\xd8\xff': (b'\xff\xd9', 'JPEG'),
    b'\x89PNG\r\n\x1a\n': (b'IEND\xaeB`\x82', 'PNG'),
}

#: How many bytes may follow the end of an image. Cameras and downloads leave
#: notes and padding there.
TAIL = 4096

#: Pillow's exceptions for a damaged image.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)

#: Exceptions of the loaders of images and labels for a damaged file.
UNDECODABLE = (*BROKEN, AssertionError, TypeError, cv2.error)
UNDECODABLE += (Image.DecompressionBombError,)


def file_defect(path: str) -> str | None:
    """Return the defect of an image file.

    Reads the first and last bytes. Only a JPEG or PNG without its end mark
    is decoded, since long notes after the image are harmless. Damage inside
    a complete file is not found; the data report decodes everything.

    Args:
        path (str): The file.

    Returns:
        str | None: The defect, such as 'is empty (0 bytes)'; None if there
        is none.
    """
    try:
        with open(path, 'rb') as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(16)
            file.seek(max(0, size - TAIL))
            end = file.read()
    except (FileNotFoundError, ValueError):  # of a name with a zero byte
        return 'does not exist'
    except OSError as error:
        return f'cannot be read ({error.strerror})'
    if not size:
        return 'is empty (0 bytes)'
    for signature, (ending, name) in ENDINGS.items():
        if start.startswith(signature):
            if ending in end or decodes(path):
                return None
            return f'is truncated: it is a {name} without its end'
    known = pillow_opens(path) or cv2.haveImageReader(path)
    return None if known else 'is not an image file'


def decodes(path: str) -> bool:
    """Return whether both Pillow and OpenCV decode a file.

    Zeros at the end are ignored: an interrupted copy can leave them, and
    they decode as pixels, whereas no JPEG or PNG ends in one.

    Args:
        path (str): The file, which exists.
    """
    content = Path(path).read_bytes().rstrip(b'\0')
    try:
        # Pillow refuses huge images, which OpenCV reads.
        with (
            suppress(Image.DecompressionBombError),
            Image.open(io.BytesIO(content)) as image,
        ):
            image.load()
        return mmcv.imfrombytes(content, backend='cv2') is not None
    except (*BROKEN, cv2.error):
        return False


def pillow_opens(path: str) -> bool:
    """Return whether Pillow knows the format of a file.

    Args:
        path (str): The file.
    """
    try:
        with suppress(Image.DecompressionBombError), Image.open(path):
            pass
    except BROKEN:
        return False
    return True


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
