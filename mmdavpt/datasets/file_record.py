"""Records of image and label files: what they store and what is loaded."""

import hashlib
import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
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
    """Facts about a file, as plain values for JSON.

    Args:
        path (str): The file.
        size (int): Its bytes. Defaults to 0.
        mtime_ns (int): Time of its last change. Defaults to 0.
        reader (str): Identifies the loader that decoded it. Defaults to '':
            only its header was read.
        defect (str): The defect, such as 'is empty (0 bytes)'. Defaults to
            '': none.
        rejected (str): The sentence with which the loader rejects the
            content. Defaults to ''.
        format (str): The format of the content. Defaults to '': unknown.
        mode (str): Pillow's mode. Defaults to ''.
        bits (int): Bits per channel. Defaults to 8.
        stored_size (tuple[int, int]): Width and height in the header.
            Defaults to (0, 0).
        orientation (int): The orientation tag, 1 to 8. Defaults to 1.
        digest (str): Hash of the content. Defaults to ''.
        frames (int): The number of images in the file. Defaults to 1.
        transparent (bool): Whether pixels are transparent. Defaults to
            False.
        shape (tuple[int, ...]): Shape of the loaded array. Defaults to ().
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
    size: int = 0
    mtime_ns: int = 0
    reader: str = ''
    defect: str = ''
    rejected: str = ''
    format: str = ''
    mode: str = ''
    bits: int = 8
    stored_size: tuple[int, int] = (0, 0)
    orientation: int = 1
    digest: str = ''
    frames: int = 1
    transparent: bool = False
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

    @property
    def turns_sides(self) -> bool:
        """True if the orientation tag changes width and height."""
        return self.orientation > 4 and len({*self.stored_size}) > 1

    def is_smaller_than(self, size: tuple[int, int]) -> bool:
        """Return whether an image is known to be narrower or lower.

        Args:
            size (tuple[int, int]): Width and height.
        """
        pairs = zip(self.loaded_size or size, size, strict=True)
        return any(own < other for own, other in pairs)

    def to_json(self) -> str:
        """Return the record as a line of JSON, without default values."""
        default = asdict(FileRecord(''))
        plain = asdict(self).items()
        return json.dumps({k: v for k, v in plain if v != default[k]})

    @staticmethod
    def from_json(line: str) -> 'FileRecord':
        """Return the record of a line of JSON.

        Args:
            line (str): The line.

        Raises:
            ValueError: If the line is not JSON.
            TypeError: If it has other fields.
        """
        plain = json.loads(line)
        for key, value in plain.items():
            if isinstance(value, list):
                plain[key] = tuple(value)
            elif isinstance(value, dict):
                plain[key] = {int(k): n for k, n in value.items()}
        return FileRecord(**plain)


def read_header(path: str) -> FileRecord:
    """Read the header of a file, and check that the file is complete.

    Args:
        path (str): The file.
    """
    record = FileRecord(path, defect=file_defect(path) or '')
    if record.defect:
        return record
    status = os.stat(path)
    record.size, record.mtime_ns = status.st_size, status.st_mtime_ns
    # OpenCV reads some formats and sizes that Pillow does not.
    with suppress(*UNREADABLE), Image.open(path) as image:
        record.format, record.mode = image.format, image.mode
        record.bits, record.stored_size = _bits(image), image.size
        record.orientation = _orientation(image)
    return record


def read_file(
    path: str, load: Callable[[], dict | None], reader: str
) -> FileRecord:
    """Read and decode an image, or pixel labels whose values are counted.

    Args:
        path (str): The file.
        load (Callable): Loads it, and returns a dict with 'img' or
            'gt_seg_map'.
        reader (str): Identifies the loader.
    """
    record = read_header(path)
    if record.defect:
        return record
    record.reader = reader
    try:
        loaded = load()
        record.defect = '' if loaded else 'cannot be decoded'
    except UsageError as error:
        record.rejected = str(error)
    except UNDECODABLE as error:
        reason = str(error).strip().split('\n')[0] or type(error).__name__
        record.defect = f'cannot be decoded ({reason})'
    if not (record.defect or record.rejected):
        _read_content(record)
        if 'gt_seg_map' in loaded:
            _read_labels(record, loaded['gt_seg_map'])
        else:
            _read_range(record, loaded['img'])
    return record


def _read_content(record: FileRecord) -> None:
    """Add what the content of a file tells, and loading does not."""
    content = Path(record.path).read_bytes()
    record.digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    with suppress(*UNREADABLE), Image.open(io.BytesIO(content)) as image:
        record.frames = getattr(image, 'n_frames', 1)
        if image.has_transparency_data:
            alpha = image.convert('RGBA').getchannel('A')
            record.transparent = alpha.getextrema()[0] < 255


def _read_range(record: FileRecord, image: np.ndarray) -> None:
    """Add the range of an image, as loaded and as stored."""
    record.shape, record.high = image.shape, float(image.max())
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
        same = record.values and np.array_equal(stored, labels)
        record.stored_high = float(stored.max())
        record.stored_values = record.values if same else _counts(stored)


def _stored(path: str, backend: str) -> np.ndarray | None:
    """Return the pixels of a file as stored, None if the backend cannot."""
    with suppress(*UNREADABLE, *UNDECODABLE):
        return mmcv.imread(path, flag='unchanged', backend=backend)
    return None


def _bits(image: Image.Image) -> int:
    # An RGB image of 16 bits has the mode RGB, and pixels as 'RGB;16B'.
    wide = image.mode.startswith('I;16') or ';16' in str(image.tile[:1])
    return 16 if wide else {'I': 32, 'F': 32}.get(image.mode, 8)


def _orientation(image: Image.Image) -> int:
    # Pillow decodes a whole PNG to look for a tag at its end.
    if image.format == 'PNG' and 'exif' not in image.info:
        return 1
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def _counts(values: np.ndarray) -> dict[int, int]:
    if values.dtype in (np.uint8, bool):
        numbers = np.bincount(values.ravel())
        found = np.flatnonzero(numbers)
        numbers = numbers[found]
    else:
        found, numbers = np.unique(values, return_counts=True)
    most = np.argsort(-numbers, kind='stable')[:MOST_VALUES]
    return {int(found[i]): int(numbers[i]) for i in most}
