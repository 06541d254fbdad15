"""Draw label maps and write them with their images."""

import os
import os.path as osp
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from PIL import Image

from mmdavpt.datasets.folders import palette
from mmdavpt.errors import UsageError
from mmdavpt.progress import track

from ..file_writing import replace_text
from .annotations import Sample, Shape, Size, blame


def write_dataset(
    samples: Sequence[Sample],
    classes: Iterable[str],
    draw: Callable[[Sample, Size], np.ndarray],
    out_dir: str,
) -> np.ndarray:
    """Write ``images/``, ``labels/`` and ``classes.txt``.

    Everything is written to a temporary folder, which is renamed at the end:
    the output is complete, or does not exist.

    Args:
        samples (Sequence[Sample]): The samples.
        classes (Iterable[str]): Class names, in the order of the values.
        draw (Callable): Returns the label map of a sample.
        out_dir (str): The output folder, which does not exist or is empty.

    Returns:
        np.ndarray: Number of pixels of each value in each sample, (N, 256).

    Raises:
        UsageError: If an image or annotation cannot be read, sizes differ, or
            nothing is labelled.
    """
    temporary, pixels = f'{osp.abspath(out_dir)}.{os.getpid()}.tmp', []
    os.makedirs(temporary)
    try:
        for sample in track(samples, 'label maps'):
            with blame(sample.source):
                labels = draw(sample, read_size(sample))
            pixels.append(np.bincount(labels.ravel(), minlength=256))
            _write_sample(sample, labels, temporary)
        if np.count_nonzero(np.sum(pixels, axis=0)) < 2:
            raise UsageError('all pixels of all images would have one class')
        text = ''.join(f'{name}\n' for name in classes)
        replace_text(osp.join(temporary, 'classes.txt'), text)
        os.replace(temporary, osp.abspath(out_dir))
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return np.array(pixels)


def _write_sample(sample: Sample, labels: np.ndarray, folder: str) -> None:
    image = Image.fromarray(labels)
    # All 256 colors, or Pillow would store fewer bits.
    image.putpalette(np.array(palette(256), np.uint8).tobytes())
    path = osp.join(folder, 'labels', f'{sample.name}.png')
    os.makedirs(osp.dirname(path), exist_ok=True)
    image.save(path)
    suffix = osp.splitext(sample.image)[1]
    path = osp.join(folder, 'images', sample.name + suffix)
    os.makedirs(osp.dirname(path), exist_ok=True)
    shutil.copyfile(sample.image, path)


def read_size(sample: Sample) -> Size:
    """Return height and width of an image as loaders return it.

    Args:
        sample (Sample): The sample.

    Raises:
        UsageError: If the annotation is for an image of another size.
    """
    # This rotates the image if EXIF says so.
    image = cv2.imread(sample.image)
    if image is None:
        raise ValueError(f'OpenCV cannot decode {sample.image}')
    height, width = image.shape[:2]
    if None not in sample.size and sample.size != (width, height):
        raise UsageError(
            f'{sample.source} is for {sample.size[0]} x {sample.size[1]} '
            f'pixels, but its image is loaded with {width} x {height}; if the '
            'image has an EXIF orientation, rotate the file itself'
        )
    return height, width


def draw_shapes(
    values: dict[str, int],
    background: int,
    smallest_on_top: bool,
    notes: Counter[str],
    sample: Sample,
    size: Size,
) -> np.ndarray:
    """Return a label map of shapes.

    Args:
        values (dict[str, int]): Pixel value of each label.
        background (int): Value of pixels without a shape.
        smallest_on_top (bool): Whether small shapes cover large ones, instead
            of later ones earlier ones.
        notes (Counter[str]): Counts shapes, images and pixels.
        sample (Sample): The sample.
        size (Size): Height and width of the image.
    """

    def order(shape: Shape) -> tuple[int, int]:
        # Filled once more later: masks of all shapes may not fit in memory.
        area = np.count_nonzero(shape.fill(size)) if smallest_on_top else 0
        return shape.layer, -area

    labels = np.full(size, background, dtype=np.uint8)
    covered = np.zeros(size, dtype=bool)
    for shape in sorted(sample.shapes, key=order):
        mask, value = shape.fill(size), values[shape.label]
        notes['shapes that contain no pixel'] += not mask.any()
        changed = covered & mask & (labels != value)
        notes['pixels in shapes of several classes'] += int(changed.sum())
        labels[mask] = value
        covered |= mask
    notes['images without a shape'] += not covered.any()
    return labels
