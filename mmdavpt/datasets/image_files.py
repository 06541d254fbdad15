"""Whether an image file is whole, from its beginning and its end."""

import io
import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import mmcv
from PIL import Image

#: How formats begin that say where they end, how they end, and their names.
ENDINGS = {
    b'\xff\xd8\xff': (b'\xff\xd9', 'JPEG'),
    b'\x89PNG\r\n\x1a\n': (b'IEND\xaeB`\x82', 'PNG'),
}

#: How far before the end of a file its image may end. Cameras and downloads
#: leave notes and padding there.
TAIL = 4096

#: What Pillow raises for a file that is no whole image.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


def file_defect(path: str) -> str | None:
    """Return what is wrong with an image file without decoding it.

    A JPEG or PNG that does not end as its format says is decoded to be sure:
    long notes after the image are harmless, and so are images of another
    format than the suffix says. Only what fails then is a defect. In a whole
    JPEG or PNG damage is not looked for; :mod:`.sample_check` decodes all.

    Args:
        path (str): The file.

    Returns:
        str | None: What is wrong, as 'is empty (0 bytes)'; None if nothing.
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
    return None if _is_image(path) else 'is no image file'


def decodes(path: str) -> bool:
    """Return whether both libraries that pipelines load with decode a file.

    Zeros at the end are left out: an interrupted copy can leave them, and
    they decode as pixels, whereas no JPEG or PNG ends in one.

    Args:
        path (str): The file, which exists.
    """
    with open(path, 'rb') as file:
        content = file.read().rstrip(b'\0')
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except BROKEN:
        return False
    return _opencv_decodes(content)


def _is_image(path: str) -> bool:
    """Return whether a library knows the format of a file."""
    try:
        with Image.open(path):
            return True
    except OSError:
        with open(path, 'rb') as file:
            return _opencv_decodes(file.read())


def _opencv_decodes(content: bytes) -> bool:
    try:
        return mmcv.imfrombytes(content, backend='cv2') is not None
    except cv2.error:
        return False


def file_defects(
    paths: Sequence[str], workers: int = 8
) -> list[tuple[str, str]]:
    """Return the files with a defect, checked by several threads.

    Args:
        paths (Sequence[str]): The files.
        workers (int): Threads; they wait for the disk at the same time.
            Defaults to 8.

    Returns:
        list[tuple[str, str]]: Path and defect, in the order of the paths.
    """

    def check(part: Sequence[str]) -> list[tuple[str, str | None]]:
        return [(path, file_defect(path)) for path in part]

    # A file takes microseconds once it is in memory: a call of its own for
    # each would take longer.
    parts = [paths[i : i + 64] for i in range(0, len(paths), 64)]
    with ThreadPoolExecutor(workers) as pool:
        return [
            (path, defect)
            for found in pool.map(check, parts)
            for path, defect in found
            if defect is not None
        ]
