"""Read masks whose pixels are values, palette indices or colors."""

import os.path as osp
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mmdavpt.datasets.image_files import list_files, media_type
from mmdavpt.datasets.load_masks import LoadMasks
from mmdavpt.errors import UsageError, first_few

from .annotations import Sample, Size, blame, check_label

#: A value of a pixel: a number, or red, green and blue.
Value = int | tuple[int, ...]


def read_masks(
    source: str, images: str | None, suffix: str
) -> tuple[list[Sample], str]:
    """List masks; their images have the same names.

    Args:
        source (str): Folder of the masks, or one that has
            ``SegmentationClass/`` and ``JPEGImages/``.
        images (str, optional): Folder of the images. Defaults to
            ``JPEGImages/``.
        suffix (str): What follows the name of the image in that of its mask.

    Returns:
        tuple[list[Sample], str]: The samples, and the folder of the images.

    Raises:
        UsageError: If the folder of images is missing.
    """
    voc = osp.join(source, 'SegmentationClass')
    folder = voc if osp.isdir(voc) else source
    if not images and folder is source:
        raise UsageError(f'give the images of the masks {source} as --images')
    images = images or osp.join(source, 'JPEGImages')
    samples = []
    files = list_files(folder)[0]
    for file in (f for f in files if media_type(f) == 'image'):
        stem, path = osp.splitext(file)[0], osp.join(folder, file)
        if stem.endswith(suffix):
            name = stem.removesuffix(suffix) + '.png'
            samples.append(Sample(name, path, (None,), []))
    return samples, images


def read_mapping(
    items: Sequence[tuple[str, str]], source: str
) -> dict[Value, str]:
    """Read the label of each value of the masks.

    Args:
        items (Sequence[tuple[str, str]]): Pairs of a number or ``R,G,B`` and
            a label.
        source (str): Folder whose ``labelmap.txt``, as CVAT writes it, is
            read without items.

    Returns:
        dict[Value, str]: Labels by value.

    Raises:
        UsageError: If an item is malformed.
    """
    file = osp.join(source, 'labelmap.txt')
    mapping: dict[Value, str] = {}
    with blame('the map of values'):
        if not items and osp.isfile(file):
            with open(file, encoding='utf-8-sig') as content:
                fields = [ln.split(':') for ln in content if ln.strip(' #\n')]
            items = [(f[1], f[0]) for f in fields if f[0][0] != '#']
        for text, name in items:
            color = tuple(int(part) for part in text.split(','))
            value = color if len(color) > 1 else color[0]
            if mapping.setdefault(value, check_label(name)) != name:
                raise ValueError(f'{text} is {mapping[value]!r} and {name!r}')
    return mapping


def list_values(samples: Sequence[Sample]) -> str:
    """Return the values of all masks, for a message.

    Args:
        samples (Sequence[Sample]): The samples.
    """
    found = set()
    for sample in samples:
        with blame(sample.source), Image.open(sample.source) as image:
            found |= {value for _, value in image.getcolors(1 << 24)}
    return first_few(sorted(found), 30)


def draw_mask(load: LoadMasks, sample: Sample, size: Size) -> np.ndarray:
    """Return a label map from a mask.

    Args:
        load (LoadMasks): Maps values to classes.
        sample (Sample): The sample.
        size (Size): Height and width of the image.
    """
    mask = dict(seg_map_path=sample.source, img_path=sample.image)
    options = dict(ori_shape=size, reduce_zero_label=False, seg_fields=[])
    return load.transform(mask | options)['gt_seg_map']
