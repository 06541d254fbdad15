"""Choose the classes, convert a source, and summarize the dataset."""

import argparse
import os
import os.path as osp
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import partial

import numpy as np

from mmdavpt.datasets.load_masks import IGNORED as IGNORE_INDEX
from mmdavpt.datasets.load_masks import LoadMasks
from mmdavpt.errors import UsageError, did_you_mean, first_few

from . import pixels
from .annotations import IGNORED, Sample, blame
from .coco import read_coco
from .cvat import read_cvat
from .image_index import ImageIndex, plain_name
from .labelme import read_labelme
from .writing import draw_shapes, write_dataset

READERS = dict(labelme=read_labelme, coco=read_coco, cvat=read_cvat)


def convert(args: argparse.Namespace) -> str:
    """Convert a source.

    Args:
        args (argparse.Namespace): The options of ``masks.py``.

    Returns:
        str: What was written, in lines.

    Raises:
        UsageError: If the source is malformed or an option does not fit.
    """
    out, notes, is_png = args.out, Counter(), args.format == 'png'
    if osp.lexists(out) and (not osp.isdir(out) or os.listdir(out)):
        raise UsageError(f'{out} exists already; choose another output folder')
    source, folder, background = args.source, args.images, args.background
    if is_png:
        mapping = pixels.read_mapping(args.map, source)
        samples, folder = pixels.read_masks(source, folder, args.suffix)
        labels = used = [*dict.fromkeys(mapping.values())]
    else:
        options = [args.crowd] if args.format == 'coco' else []
        samples, labels = READERS[args.format](source, notes, *options)
        used = dict.fromkeys(s.label for n in samples for s in n.shapes)
    if folder is None:
        folder = source if osp.isdir(source) else osp.dirname(source) or '.'
    find_images_of(samples, ImageIndex(folder, is_png), notes)
    if is_png and not mapping:
        found = pixels.list_values(samples)
        raise UsageError(f'--map VALUE=NAME should name the values {found}')
    options = args.classes, background, args.rename
    classes, values = choose_classes(labels, used, *options)
    if is_png:
        table = {value: values[label] for value, label in mapping.items()}
        in_color = any(isinstance(value, tuple) for value in table)
        name = 'color_map' if in_color else 'value_map'
        draw = partial(pixels.draw_mask, LoadMasks(**{name: table}))
    else:
        known = background in classes
        fill = classes.index(background) if known else IGNORE_INDEX
        draw = partial(draw_shapes, values, fill, args.format == 'coco', notes)
    counts = write_dataset(samples, classes, draw, out)
    return summarize(out, classes, counts, notes)


def find_images_of(
    samples: Sequence[Sample], index: ImageIndex, notes: Counter[str]
) -> None:
    """Set the paths of images, and the names of the output.

    Args:
        samples (Sequence[Sample]): The samples.
        index (ImageIndex): The images.
        notes (Counter[str]): Counts the other images.

    Raises:
        UsageError: If an image is not found, two samples have the same
            image or name, or there is no sample.
    """
    for sample in samples:
        with blame(sample.source):
            sample.image = index.find(sample.image or sample.name)
            sample.name = osp.splitext(plain_name(sample.name))[0]
    missing = [sample.source for sample in samples if not sample.image]
    if missing:
        raise UsageError(f'no image for {first_few(missing)}; see --images')
    if not samples:
        raise UsageError('the source has no annotation')
    files = [osp.realpath(sample.image) for sample in samples]
    for names in files, [sample.name for sample in samples]:
        (name, number), *_ = Counter(names).most_common(1)
        if number > 1:
            raise UsageError(f'{name} has {number} annotations; keep one')
    unused = {*map(osp.realpath, index.paths)} - {*files}
    notes['left out: images without an annotation'] = len(unused)


def choose_classes(
    labels: Iterable[str],
    used: Iterable[str],
    chosen: Sequence[str],
    background: str,
    rename: Sequence[tuple[str, str]],
) -> tuple[list[str], dict[str, int]]:
    """Choose the classes and the pixel value of each label.

    Args:
        labels (Iterable[str]): All labels, in the order of the classes.
        used (Iterable[str]): Those that shapes or pixels have.
        chosen (Sequence[str]): The classes in order; empty for all labels.
        background (str): Class of pixels without a shape, which is first
            unless it is chosen or ``IGNORED``. LabelMe's ``_background_``
            belongs to it.
        rename (Sequence[tuple[str, str]]): Old and new labels; in old ones,
            ``*`` stands for any text.

    Returns:
        tuple[list[str], dict[str, int]]: The classes, and values by label.

    Raises:
        UsageError: If a label is unknown, nothing is to rename, or classes
            are too many or alike.
    """
    names: dict[str, str] = {}
    labels = dict.fromkeys((*labels, *used))
    for old, new in (*rename, ('_background_', background)):
        matches = [label for label in labels if fnmatchcase(label, old)]
        if not matches and (old, new) in rename:
            hint = did_you_mean(old, labels)
            raise UsageError(f'no label matches --rename {old}{hint}')
        names = dict.fromkeys(matches, new) | names
    names = {label: names.get(label, label) for label in labels}
    classes = [n for n in dict.fromkeys(names.values()) if n != IGNORED]
    if chosen:
        allowed = {*chosen, background, IGNORED}
        unknown = [label for label in used if names[label] not in allowed]
        if unknown:
            lacking = first_few(unknown, 9)
            raise UsageError(f'--classes lacks {lacking}; add or --rename it')
        classes = [*chosen]
    if background not in (IGNORED, *chosen):
        classes = [background, *(n for n in classes if n != background)]
    different = len({name.casefold() for name in classes})
    if different < len(classes) or not 0 < different <= IGNORE_INDEX:
        raise UsageError(
            f'1 to {IGNORE_INDEX} classes should differ in more than case, '
            f'but are {first_few(classes, 9)}; merge some with --rename'
        )
    values = {c: i for i, c in enumerate(classes)} | {IGNORED: IGNORE_INDEX}
    known = {n: values[c] for n, c in names.items() if c in values}
    return classes, known


def summarize(
    out_dir: str, classes: list[str], counts: np.ndarray, notes: Counter[str]
) -> str:
    """Return what was written, in lines.

    Args:
        out_dir (str): The output folder.
        classes (list[str]): Class names, in the order of the values.
        counts (np.ndarray): Pixels of each value in each sample, (N, 256).
        notes (Counter[str]): Numbers of other things.
    """
    share, images = counts.sum(0) / counts.sum(), (counts > 0).sum(0)
    lines = [f'{out_dir}: {len(counts)} images, {len(classes)} classes']
    lines += [
        f'{value:5d} {name:24s} {share[value]:8.3%} of the pixels, in '
        f'{images[value]} images'
        for value, name in (*enumerate(classes), (IGNORE_INDEX, '(ignored)'))
    ]
    # Adding leaves out what is 0.
    lines += [f'{what}: {n:,}' for what, n in (notes + Counter()).items()]
    lines.append(f'Train with: mmdavpt train --task segmentation {out_dir}')
    return '\n'.join(lines)
