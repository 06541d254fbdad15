"""Read the images of VTAB's datasets as RGB."""

import io

import cv2
import numpy as np
from PIL import Image

from mmdavpt.errors import UsageError


def image_from_file(path: str) -> Image.Image:
    """Read an image file of any mode and format as RGB.

    The content determines the format: several datasets name GIF and PNG files
    '.jpg'. Transparency is dropped, as in TensorFlow's decoders.

    Args:
        path (str): Path of the file.

    Raises:
        UsageError: If it cannot be read as an image.
    """
    with open(path, 'rb') as file:
        return image_from_bytes(file.read(), path)


def image_from_bytes(content: bytes, name: str) -> Image.Image:
    """Decode the content of an image file as RGB.

    Args:
        content (bytes): The content.
        name (str): Name of the image in messages.

    Raises:
        UsageError: If it cannot be read as an image.
    """
    try:
        return Image.open(io.BytesIO(content)).convert('RGB')
    except (OSError, SyntaxError) as error:
        raise UsageError(
            f'{name} cannot be read as an image ({error}); unpack the '
            'download of its dataset again'
        ) from error


def image_from_array(pixels: np.ndarray) -> Image.Image:
    """Make an RGB image of pixels.

    Args:
        pixels (np.ndarray): uint8, with shape (H, W, 3), or (H, W) for grey.
    """
    return Image.fromarray(pixels).convert('RGB')


def bgr_from_file(path: str) -> np.ndarray:
    """Read an image file of any format as OpenCV does.

    Args:
        path (str): Path of the file.

    Returns:
        np.ndarray: uint8 in BGR, with shape (H, W, 3), rotated by its
        EXIF orientation.

    Raises:
        UsageError: If it cannot be read as an image.
    """
    with open(path, 'rb') as file:
        content = file.read()
    pixels = None
    if content:
        buffer = np.frombuffer(content, np.uint8)
        pixels = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    if pixels is None:
        rgb = np.asarray(image_from_bytes(content, path))
        pixels = np.ascontiguousarray(rgb[:, :, ::-1])
    return pixels


def image_from_bgr(
    pixels: np.ndarray, quality: int | None = None
) -> Image.Image:
    """Compress pixels as JPEG with OpenCV and return the RGB image.

    Args:
        pixels (np.ndarray): uint8 in BGR, with shape (H, W, 3).
        quality (int, optional): Quality of JPEG. Defaults to None, which is
            OpenCV's default of 95.
    """
    flags = [] if quality is None else [cv2.IMWRITE_JPEG_QUALITY, quality]
    content = cv2.imencode('.jpg', pixels, flags)[1].tobytes()
    return Image.open(io.BytesIO(content)).convert('RGB')
