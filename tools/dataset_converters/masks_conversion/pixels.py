"""Read masks whose pixels are values, palette indices or colors."""

import json
import os.path as osp
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mmdavpt.errors import UsageError

from .image_index import ImageIndex, walk
from .samples import Annotations, Sample, blame, check_label

#: Folders of masks and images that belong together.
FOLDERS = (
    ('SegmentationClass', 'JPEGImages'),
    ('masks', 'images'),
    ('labels', 'images'),
)
LABEL_MAP = 'labelmap.txt'
#: A value of a pixel: a number, or red, green and blue.
Value = int | tuple[int, int, int]


def read_masks(
    source: str,
    images: str | None,
    mapping: dict[Value, str],
    suffix: str = '',
) -> Annotations:
    """List masks and their images, which have the same names.

    Args:
        source (str): Folder of the masks; or a folder with ``masks/`` and
            ``images/``, or ``SegmentationClass/`` and ``JPEGImages/``.
        images (str, optional): Folder of the images. Defaults to the one next
            to the masks.
        mapping (dict[Value, str]): Label of each value.
        suffix (str): What follows the name of the image in that of its mask.
            Defaults to ''.

    Returns:
        Annotations: The annotations.

    Raises:
        UsageError: If there is no folder of images, or no mask.
    """
    folder = source
    for masks, others in FOLDERS:
        if osp.isdir(osp.join(source, masks)):
            folder = osp.join(source, masks)
            images = images or osp.join(source, others)
            break
    if images is None:
        raise UsageError(f'give the images of the masks {source} as --images')
    index = ImageIndex(images, by_stem=True)
    samples = []
    for name in walk(folder):
        stem = osp.splitext(name)[0]
        if not stem.endswith(suffix):
            continue
        stem = stem[: len(stem) - len(suffix)]
        path = osp.join(folder, name)
        image = index.find(f'{stem}.png')
        samples.append(Sample(stem, image, path, None, [], path))
    if not samples:
        raise UsageError(f'{folder} has no image that ends in {suffix!r}')
    dropped = Counter({'images without a mask': len(index.unused)})
    return Annotations(samples, [*dict.fromkeys(mapping.values())], dropped)


def read_mapping(items: Sequence[str], source: str) -> dict[Value, str]:
    """Read which label each value of the masks has.

    Args:
        items (Sequence[str]): Each is ``VALUE=NAME`` with a number, ``R,G,B``
            or ``#RRGGBB``; a file, CVAT's ``labelmap.txt`` or a JSON object
            of names to values or values to names; or a dataset of
            MMSegmentation, such as ``voc``.
        source (str): Folder whose ``labelmap.txt`` is read without items.

    Returns:
        dict[Value, str]: Labels by value: all numbers, or all colors.

    Raises:
        UsageError: If an item is malformed, or both kinds occur.
    """
    default = osp.join(source, LABEL_MAP)
    if not items and osp.isfile(default):
        items = [default]
    mapping: dict[Value, str] = {}
    for item in items:
        for text, name in _pairs(item):
            with blame(f'the map entry {text}={name}'):
                value = _parse_value(text)
                if mapping.setdefault(value, check_label(name)) != name:
                    raise ValueError(f'{text} is also {mapping[value]!r}')
    if len({type(value) for value in mapping}) > 1:
        raise UsageError('the map has both numbers and colors; use one kind')
    return mapping


def _pairs(item: str) -> list[tuple[object, str]]:
    """Return values and names of a pair, a file, or a known dataset."""
    if not osp.isfile(item):
        value, equals, name = item.partition('=')
        return [(value, name.strip())] if equals else _published(item)
    with blame(item), open(item, encoding='utf-8-sig') as file:
        text = file.read()
        if item.lower().endswith('.json'):
            return [
                (key, value) if isinstance(value, str) else (value, key)
                for key, value in json.loads(text).items()
            ]
        lines = [line for line in text.splitlines() if line.strip()]
        fields = [line.split(':') for line in lines if line[0] != '#']
        return [(field[1], field[0].strip()) for field in fields]


def _published(name: str) -> list[tuple[object, str]]:
    """Return colors and names of the classes of a dataset."""
    # MMSegmentation takes seconds to import.
    from mmseg.utils import get_classes, get_palette

    try:
        pairs = zip(get_palette(name), get_classes(name), strict=True)
    except ValueError:
        raise UsageError(
            f'{name!r} is no file, no VALUE=NAME and no dataset of '
            'MMSegmentation'
        ) from None
    return list(pairs)


def _parse_value(text: object) -> Value:
    """Return a number, or a color as a tuple."""
    if isinstance(text, str) and re.fullmatch('#[0-9a-fA-F]{6}', text.strip()):
        return tuple(bytes.fromhex(text.strip()[1:]))
    parts = text.split(',') if isinstance(text, str) else np.ravel(text)
    value = tuple(int(str(part)) for part in parts)
    if len(value) == 1 and 0 <= value[0] < 65536:
        return value[0]
    if len(value) != 3 or not all(0 <= part < 256 for part in value):
        raise ValueError(f'{text!r} is no value of a pixel')
    return value


def read_values(path: str, in_color: bool) -> np.ndarray:
    """Read a mask as one number for each pixel.

    Args:
        path (str): The mask.
        in_color (bool): Whether the pixels are colors, which become 65536
            times red plus 256 times green plus blue.

    Raises:
        ValueError: If a mask of numbers is in color or has fractions.
    """
    with Image.open(path) as image:
        if in_color:
            colors = np.asarray(image.convert('RGB'), dtype=np.int32)
            return to_number(np.moveaxis(colors, 2, 0))
        values = np.asarray(image)
    if values.ndim == 3:
        # Drop alpha: of gray (LA) or of colors (RGBA).
        colors = values[..., :3] if values.shape[2] > 2 else values[..., :1]
        if (colors != colors[..., :1]).any():
            raise ValueError('it is in color; give a --map of colors')
        values = colors[..., 0]
    if values.dtype.kind not in 'uib':
        raise ValueError(f'its pixels are {values.dtype}, no whole numbers')
    return values.astype(np.int32)


def to_number(value: Value | np.ndarray) -> int | np.ndarray:
    """Return the number of a value or of color channels."""
    if isinstance(value, int):
        return value
    red, green, blue = value
    return red << 16 | green << 8 | blue


def show_value(number: int, in_color: bool) -> str:
    """Return a number of :func:`read_values` as ``--map`` takes it."""
    if not in_color:
        return str(number)
    return f'{number >> 16},{number >> 8 & 255},{number & 255}'
