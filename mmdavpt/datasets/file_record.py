"""Records of image and label files: what they store and what is loaded."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import mmcv
import numpy as np
from PIL import ExifTags, Image

from mmdavpt.errors import UsageError

from .image_files import UNDECODABLE, file_defect

#: Maximum number of label values that a record counts, most frequent first.
MOST_VALUES = 1024

#: Pillow's exceptions for files that OpenCV may read.
UNREADABLE = (OSError, Image.DecompressionBombError)


@dataclass(slots=True)
class FileRecord:
    """Facts about a file.

    Args:
        path (str): The file.
        defect (str): The defect, such as 'is empty (0 bytes)'. Defaults to
            '': none.
        rejected (str): The sentence with which the loader rejects the
            content. Defaults to ''.
        format (str): The format of the content. Defaults to '': unknown.
        bits (int): Bits per channel. Defaults to 8.
        stored_size (tuple[int, int]): Width and height in the header.
            Defaults to (0, 0).
        orientation (int): The orientation tag, 1 to 8. Defaults to 1.
        digest (str): Hash of the content. Defaults to ''.
        shape (tuple[int, ...]): Shape of the loaded array. Defaults to ():
            not decoded.
        high (float): Maximum of a loaded image. Defaults to 0.
        stored_high (float): Maximum in the file; of images with more than 8
            bits, and of labels. Defaults to 0.
        clipped (bool): Whether loading clips an image of more than 8 bits.
            Defaults to False.
        values (dict[int, int]): Loaded label values to their pixels.
            Defaults to {}.
        stored_values (dict[int, int]): The same for the values in the file.
            Defaults to {}.
    """

    path: str
    defect: str = ''
    rejected: str = ''
    format: str = ''
    bits: int = 8
    stored_size: tuple[int, int] = (0, 0)
    orientation: int = 1
    digest: str = ''
    shape: tuple[int, ...] = ()
    high: float = 0
    stored_high: float = 0
    clipped: bool = False
    values: dict[int, int] = field(default_factory=dict)
    stored_values: dict[int, int] = field(default_factory=dict)

    @property
    def loaded_size(self) -> tuple[int, int] | None:
        """Width and height as loaded, None if the header does not tell."""
        if self.shape:
            return self.shape[1], self.shape[0]
        known = self.stored_size[0] and self.orientation == 1
        return self.stored_size if known else None


def read_header(path: str) -> FileRecord:
    """Read the header of a file, and check that the file is complete.

    Args:
        path (str): The file.
    """
    record = FileRecord(path, defect=file_defect(path) or '')
    if record.defect:
        return record
    # OpenCV reads some formats and sizes that Pillow does not.
    with suppress(*UNREADABLE), Image.open(path) as image:
        record.format, record.stored_size = image.format, image.size
        # An RGB image of 16 bits has the mode RGB, and pixels as 'RGB;16B'.
        wide = image.mode.startswith('I;16') or ';16' in str(image.tile[:1])
        record.bits = 16 if wide else dict(I=32, F=32).get(image.mode, 8)
        # Pillow decodes a whole PNG to look for a tag at its end.
        if image.format != 'PNG' or 'exif' in image.info:
            tags = image.getexif()
            record.orientation = tags.get(ExifTags.Base.Orientation, 1)
    return record


def read_file(path: str, load: Callable[[], dict | None]) -> FileRecord:
    """Read and decode an image, or pixel labels whose values are counted.

    Args:
        path (str): The file.
        load (Callable): Loads it, and returns a dict with 'img' or
            'gt_seg_map'.
    """
    record = read_header(path)
    if record.defect:
        return record
    try:
        loaded = load()
    except UsageError as error:
        record.rejected = str(error)
    except UNDECODABLE as error:
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        record.defect = f'cannot be decoded ({reason})'
    else:
        if not loaded:
            record.defect = 'cannot be decoded'
        elif 'gt_seg_map' in loaded:
            _read_labels(record, loaded['gt_seg_map'])
        else:
            _read_pixels(record, loaded['img'])
    return record


def _read_pixels(record: FileRecord, image: np.ndarray) -> None:
    """Add what the pixels of an image tell, as loaded and as stored."""
    record.shape, record.high = image.shape, float(image.max())
    content = Path(record.path).read_bytes()
    record.digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    stored = _stored(record.path, 'cv2') if record.bits > 8 else None
    if stored is not None:
        record.stored_high = float(stored.max())
        # Pillow clips at 255, OpenCV keeps the upper 8 bits.
        full = np.mean(stored >= 255 * 2 ** (record.bits - 8))
        record.clipped = bool(np.mean(image == 255) > full + 0.01)


def _read_labels(record: FileRecord, labels: np.ndarray) -> None:
    """Add the values of pixel labels, as loaded and as stored."""
    record.shape = labels.shape
    record.values = _counts(labels) if labels.ndim == 2 else {}
    stored = _stored(record.path, 'pillow')
    if stored is not None:
        stored = stored[..., 0] if stored.ndim == 3 else stored
        record.stored_high = float(stored.max())
        same = record.values and np.array_equal(stored, labels)
        record.stored_values = record.values if same else _counts(stored)


def _stored(path: str, backend: str) -> np.ndarray | None:
    """Return the pixels of a file as stored, None if the backend cannot."""
    with suppress(*UNREADABLE, *UNDECODABLE):
        return mmcv.imread(path, flag='unchanged', backend=backend)
    return None


def _counts(values: np.ndarray) -> dict[int, int]:
    if values.dtype in (np.uint8, bool):
        counts = np.bincount(values.ravel())
        return {int(k): int(counts[k]) for k in np.flatnonzero(counts)}
    found, numbers = np.unique(values, return_counts=True)
    most = np.argsort(-numbers, kind='stable')[:MOST_VALUES]
    return {int(found[i]): int(numbers[i]) for i in most}
