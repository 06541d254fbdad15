"""Find damaged image files without decoding all of them."""

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import mmcv
from PIL import Image

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
UNDECODABLE = (
    *(*BROKEN, AssertionError, TypeError),
    *(cv2.error, Image.DecompressionBombError),
)


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
