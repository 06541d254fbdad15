"""Records of image and label files: what they store and what is loaded."""

import hashlib
import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import mmcv
import numpy as np
from PIL import ExifTags, Image

from mmdavpt.errors import UsageError, first_few

from .image_files import UNDECODABLE, file_defect

#: Maximum number of label values that a record counts, most frequent first.
MOST_VALUES = 1024

#: Pillow's exceptions for files that OpenCV may read.
UNREADABLE = (OSError, Image.DecompressionBombError)


@dataclass(frozen=True, slots=True)
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
        low (float): Minimum of the loaded array. Defaults to 0.
        high (float): Maximum of the loaded array. Defaults to 0.
        stored_high (float): Maximum in the file; of images with more than 8
            bits, and of labels. Defaults to 0.
        clipped (bool): Whether loading clips an image of more than 8 bits.
            Defaults to False.
        values (dict[int, int]): Loaded label values to their pixels.
            Defaults to {}.
        stored_values (dict[int, int]): The same for the values in the file;
            colors are numbers such as 0xff8000. Defaults to {}.
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
    low: float = 0
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
    def colors(self) -> str:
        """The first colors of a label file, for a sentence."""
        colors = (
            f'({v >> 16}, {v >> 8 & 255}, {v & 255})'
            for v in sorted(self.stored_values)
        )
        return first_few(colors, 5)

    def to_json(self) -> str:
        """Return the record as a line of JSON, without default values."""
        plain = asdict(self)
        default = asdict(FileRecord(''))
        return json.dumps({k: v for k, v in plain.items() if v != default[k]})

    @staticmethod
    def from_json(line: str) -> 'FileRecord':
        """Return the record of a line of JSON.

        Args:
            line (str): The line.

        Raises:
            ValueError: If the line is not JSON.
            TypeError: If it has other fields.
        """
        plain = dict(json.loads(line))
        for key in {'stored_size', 'shape'} & plain.keys():
            plain[key] = tuple(plain[key])
        for key in {'values', 'stored_values'} & plain.keys():
            plain[key] = {int(k): n for k, n in plain[key].items()}
        return FileRecord(**plain)


def read_header(path: str) -> FileRecord:
    """Read the header of a file, and check that the file is complete.

    Args:
        path (str): The file.
    """
    defect = file_defect(path)
    if defect is not None:
        return FileRecord(path, defect=defect)
    status = os.stat(path)
    record = FileRecord(path, status.st_size, status.st_mtime_ns)
    # OpenCV reads some formats and sizes that Pillow does not.
    with suppress(*UNREADABLE):
        with Image.open(path) as image:
            record = replace(
                record,
                format=image.format,
                mode=image.mode,
                bits=_bits(image),
                stored_size=image.size,
                orientation=_orientation(image),
            )
    return record


def read_image(
    path: str, load: Callable[[], dict | None], reader: str
) -> FileRecord:
    """Read and decode an image.

    Args:
        path (str): The file.
        load (Callable): Loads it, and returns a dict with 'img'.
        reader (str): Identifies the loader.
    """
    record, loaded = _decode(path, load, reader)
    if loaded is None:
        return record
    image = loaded['img']
    record = replace(
        record,
        shape=image.shape,
        low=float(image.min()),
        high=float(image.max()),
    )
    stored = _stored(path, 'cv2') if record.bits > 8 else None
    if stored is None:
        return record
    # Pillow clips at 255, OpenCV keeps the upper 8 bits.
    full = np.mean(stored >= 255 * 2 ** (record.bits - 8))
    return replace(
        record,
        stored_high=float(stored.max()),
        clipped=bool(np.mean(image == 255) > full + 0.01),
    )


def read_label(
    path: str, load: Callable[[], dict | None], reader: str
) -> FileRecord:
    """Read and decode pixel labels, and count their values.

    Args:
        path (str): The file.
        load (Callable): Loads it, and returns a dict with 'gt_seg_map'.
        reader (str): Identifies the loader.
    """
    record, loaded = _decode(path, load, reader)
    if loaded is None:
        return record
    labels = loaded['gt_seg_map']
    values = _counts(labels) if labels.ndim == 2 else {}
    record = replace(
        record, shape=labels.shape, high=float(labels.max()), values=values
    )
    stored = _stored(path, 'pillow')
    if stored is None:
        return record
    if stored.ndim == 3 and stored.shape[2] < 3:  # gray with alpha
        stored = stored[..., 0]
    elif stored.ndim == 3:  # one number per color
        stored = stored[..., 2::-1] @ np.array([1 << 16, 1 << 8, 1])
    same = values and np.array_equal(stored, labels)
    return replace(
        record,
        stored_high=float(stored.max()),
        stored_values=values if same else _counts(stored),
    )


def _decode(
    path: str, load: Callable[[], dict | None], reader: str
) -> tuple[FileRecord, dict | None]:
    """Return the record of a file, and what its loader returns."""
    record = read_header(path)
    if record.defect:
        return record, None
    record = replace(record, reader=reader)
    try:
        loaded, reason = load(), 'the loader returns nothing'
    except UsageError as error:
        return replace(record, rejected=str(error)), None
    except UNDECODABLE as error:
        loaded, reason = None, str(error).strip().split('\n')[0]
        reason = reason or type(error).__name__
    if loaded is None:
        return replace(record, defect=f'cannot be decoded ({reason})'), None
    content = Path(path).read_bytes()
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    record = replace(record, digest=digest)
    with suppress(*UNREADABLE), Image.open(io.BytesIO(content)) as image:
        record = replace(record, frames=getattr(image, 'n_frames', 1))
        if image.has_transparency_data:
            alpha = image.convert('RGBA').getchannel('A')
            transparent = alpha.getextrema()[0] < 255
            record = replace(record, transparent=transparent)
    return record, loaded


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
