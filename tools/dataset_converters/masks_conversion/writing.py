"""Write images and label maps, and count what they hold."""

import base64
import io
import os
import os.path as osp
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image

from mmdavpt.errors import UsageError, first_few

from ..file_writing import replace_file, replace_text, run_parallel
from .classes import IGNORE_INDEX
from .pixels import Value, read_values, show_value, to_number
from .samples import Sample, Shape, blame, read_json

#: EXIF tag of the orientation, and the values that swap height and width.
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
#: Notes that the summary explains.
EMPTY = 'images without a shape'
OVERLAP = 'pixels in shapes of several classes'
TURNED = 'images with an EXIF orientation'


class Rules(NamedTuple):
    """How label maps are drawn.

    Args:
        values (Mapping[str, int | None]): Pixel value of each label; None
            leaves its shapes out.
        fill (int): Value of pixels without a shape.
        smallest_on_top (bool): Whether small shapes cover large ones, instead
            of later ones earlier ones.
        drop_empty (bool): Whether to leave out images without a shape.
        mapping (Mapping[Value, str]): Label of each value of a mask.
    """

    values: Mapping[str, int | None]
    fill: int
    smallest_on_top: bool = False
    drop_empty: bool = False
    mapping: Mapping[Value, str] = {}


class Counts(NamedTuple):
    """What a sample holds.

    Args:
        source (str): The annotation.
        pixels (np.ndarray): Number of pixels of each value, (256,).
        notes (Counter[str]): Numbers of other things.
        unknown (Counter[str]): Pixels of values that no label has.
    """

    source: str
    pixels: np.ndarray
    notes: Counter[str]
    unknown: Counter[str]


def write_dataset(
    samples: Sequence[Sample],
    classes: Sequence[str],
    rules: Rules,
    out_dir: str,
    num_workers: int = 0,
) -> list[Counts]:
    """Write ``images/``, ``labels/`` and ``classes.txt``.

    Everything is written to a temporary folder, which is renamed at the end:
    the output is complete, or does not exist. Images are hard links where
    that is possible, so they take no space and outlive the source.

    Args:
        samples (Sequence[Sample]): The samples.
        classes (Sequence[str]): Class names, in the order of the values.
        rules (Rules): How to draw the label maps.
        out_dir (str): The output folder.
        num_workers (int): Number of processes; 0 uses this process.
            Defaults to 0.

    Returns:
        list[Counts]: What each sample holds.

    Raises:
        UsageError: If the folder has files, an image or annotation cannot be
            read, sizes differ, or nothing is labelled.
    """
    out_dir = osp.abspath(out_dir)
    check_free(out_dir)
    _check_names(samples)
    temporary = f'{out_dir}.{os.getpid()}.tmp'
    os.makedirs(temporary)
    try:
        convert = partial(_convert, rules, temporary)
        counts = run_parallel(convert, samples, num_workers, 'label maps')
        _check_counts(counts)
        text = ''.join(f'{name}\n' for name in classes)
        replace_text(osp.join(temporary, 'classes.txt'), text)
        os.replace(temporary, out_dir)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return counts


def check_free(folder: str) -> None:
    """Raise an error if a folder has files or is a file."""
    if osp.lexists(folder) and (not osp.isdir(folder) or os.listdir(folder)):
        raise UsageError(
            f'{folder} exists already; choose another output folder'
        )


def _check_names(samples: Sequence[Sample]) -> None:
    """Raise an error if two samples have the same output or image."""
    seen: dict[object, str] = {}
    for sample in samples:
        if not sample.name:
            raise UsageError(f'{sample.source} has no file name')
        for key in (
            ('output', sample.name.lower()),
            ('image', osp.realpath(sample.image)),
        ):
            if key in seen:
                raise UsageError(
                    f'{seen[key]} and {sample.source} have the same {key[0]} '
                    f'{key[1]!r}; rename or remove one'
                )
            seen[key] = sample.source


def _check_counts(counts: Sequence[Counts]) -> None:
    unknown: Counter[str] = sum((c.unknown for c in counts), Counter())
    if unknown:
        files = [c.source for c in counts if c.unknown]
        raise UsageError(
            'no --map names the values '
            + first_few((f'{v} ({n} px)' for v, n in unknown.most_common()), 9)
            + f' of {first_few(files)}; give --map VALUE=NAME for each'
        )
    if not any(c.pixels[:IGNORE_INDEX].any() for c in counts):
        raise UsageError('every pixel of every image would be ignored')
    if all(c.notes[EMPTY] for c in counts):
        raise UsageError('no shape of any image covers a pixel')


def _convert(rules: Rules, folder: str, sample: Sample) -> Counts:
    """Write the image and the label map of a sample."""
    notes: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    with blame(sample.source):
        (width, height), suffix, turned = _inspect(sample)
        notes[TURNED] += turned
        if sample.mask:
            labels, unknown = _map_values(sample.mask, rules)
        else:
            labels = draw_shapes(sample.shapes, rules, height, width, notes)
        _check_size(sample, labels.shape[::-1], (width, height))
    pixels = np.bincount(labels.ravel(), minlength=256)
    if rules.drop_empty and notes[EMPTY] or not pixels[:IGNORE_INDEX].any():
        dropped = Counter({'images without a labelled pixel': 1})
        return Counts(sample.source, 0 * pixels, dropped, unknown)
    image = Image.fromarray(labels)
    image.putpalette(voc_palette())
    path = osp.join(folder, 'labels', f'{sample.name}.png')
    os.makedirs(osp.dirname(path), exist_ok=True)
    replace_file(path, partial(image.save, format='PNG'))
    path = osp.join(folder, 'images', f'{sample.name}{suffix}')
    _write_image(sample, path)
    return Counts(sample.source, pixels, notes, unknown)


def _inspect(sample: Sample) -> tuple[tuple[int, int], str, bool]:
    """Return size and suffix of an image, and whether loaders rotate it."""
    with (
        blame(f'the image of {sample.source}'),
        Image.open(_embedded(sample) or sample.image) as image,
    ):
        size = image.size
        orientation = image.getexif().get(ORIENTATION, 1)
        # Pillow swaps the size of a TIFF itself.
        if orientation in SIDEWAYS and image.format != 'TIFF':
            size = size[::-1]
        suffix = '.' + image.format.lower().replace('jpeg', 'jpg')
    _check_size(sample, sample.size, size)
    if not _embedded(sample):
        suffix = osp.splitext(sample.image)[1]
    return size, suffix, orientation != 1


def _embedded(sample: Sample) -> io.BytesIO | None:
    """Return the image that a JSON file embeds; None for an image file."""
    if not sample.image.lower().endswith('.json'):
        return None
    content = read_json(sample.image)['imageData']
    return io.BytesIO(base64.b64decode(content, validate=True))


def _check_size(
    sample: Sample, size: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    """Raise an error if an annotation is for an image of another size."""
    if size is None or size == expected:
        return
    hint = ''
    if size == expected[::-1]:
        hint = '; if the image has an EXIF orientation, rotate the file itself'
    raise UsageError(
        f'{sample.source} is for {size[0]} x {size[1]} pixels, but its image '
        f'is loaded with {expected[0]} x {expected[1]}{hint}'
    )


def draw_shapes(
    shapes: Sequence[Shape],
    rules: Rules,
    height: int,
    width: int,
    notes: Counter[str],
) -> np.ndarray:
    """Draw shapes on a label map.

    Args:
        shapes (Sequence[Shape]): The shapes, from bottom to top.
        rules (Rules): How to draw them.
        height (int): Height of the image.
        width (int): Width of the image.
        notes (Counter[str]): Receives numbers of shapes and pixels.

    Returns:
        np.ndarray: The label map, (height, width).
    """
    drawn = []
    for shape in shapes:
        value = rules.values[shape.label]
        if value is None:
            notes['shapes of dropped labels'] += 1
            continue
        if shape.fill is None:
            notes[f'{shape.kind} shapes without an area'] += 1
            continue
        rows, columns, mask = shape.fill(height, width)
        area = np.count_nonzero(mask)
        if not area:
            notes['shapes that contain no pixel of the image'] += 1
            continue
        order = shape.layer, -area if rules.smallest_on_top else 0
        drawn.append((order, value, (rows, columns), mask))
    notes[EMPTY] += not drawn
    labels = np.full((height, width), rules.fill, dtype=np.uint8)
    covered = np.zeros((height, width), dtype=bool)
    for _, value, window, mask in sorted(drawn, key=lambda entry: entry[0]):
        changed = covered[window] & mask & (labels[window] != value)
        notes[OVERLAP] += np.count_nonzero(changed)
        labels[window][mask] = value
        covered[window] |= mask
    return labels


def _map_values(path: str, rules: Rules) -> tuple[np.ndarray, Counter[str]]:
    """Return a label map, and the pixels of values that no label has."""
    in_color = any(isinstance(value, tuple) for value in rules.mapping)
    try:
        values = read_values(path, in_color)
    except ValueError:
        if rules.mapping:
            raise
        # List the colors of masks that have no map yet.
        in_color, values = True, read_values(path, True)
    label_of = {to_number(v): name for v, name in rules.mapping.items()}
    numbers, places, counts = np.unique(
        values, return_inverse=True, return_counts=True
    )
    unknown: Counter[str] = Counter()
    table = np.full(len(numbers), IGNORE_INDEX, dtype=np.uint8)
    for place, number in enumerate(numbers.tolist()):
        if number in label_of:
            table[place] = rules.values[label_of[number]]
        else:
            unknown[show_value(number, in_color)] = int(counts[place])
    # A photo would otherwise list a million colors.
    unknown = Counter(dict(unknown.most_common(100)))
    return table[places].reshape(values.shape), unknown


def _write_image(sample: Sample, path: str) -> None:
    """Write an image, or link or copy it."""
    os.makedirs(osp.dirname(path), exist_ok=True)
    content = _embedded(sample)
    if content:
        replace_file(path, lambda file: file.write(content.getbuffer()))
        return
    source = osp.realpath(sample.image)
    try:
        os.link(source, path)
    except OSError:
        # Another disk, or a file system without links.
        shutil.copyfile(source, path)


def voc_palette() -> list[int]:
    """Return the 256 colors of PASCAL VOC: red, green, blue, red, ..."""
    colors = np.zeros((256, 3), dtype=int)
    bits = np.arange(256)
    for shift in range(7, -1, -1):
        for channel in range(3):
            colors[:, channel] |= (bits >> channel & 1) << shift
        bits = bits >> 3
    return colors.ravel().tolist()
