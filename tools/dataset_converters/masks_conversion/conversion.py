"""Convert a source to a dataset and summarize it."""

import argparse
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mmdavpt.errors import UsageError, first_few

from .classes import IGNORE_INDEX, choose_classes
from .coco import read_coco
from .cvat import read_cvat
from .labelme import read_labelme
from .pixels import read_mapping, read_masks
from .samples import Annotations, Sample
from .writing import (
    EMPTY,
    OVERLAP,
    TURNED,
    Counts,
    Rules,
    check_free,
    write_dataset,
)

READERS = {'labelme': read_labelme, 'cvat': read_cvat}


def convert(args: argparse.Namespace) -> str:
    """Convert a source.

    Args:
        args (argparse.Namespace): The options of ``masks.py``.

    Returns:
        str: What was written, in lines.

    Raises:
        UsageError: If the source is malformed or an option does not fit.
    """
    check_free(args.out)
    rename = dict(_pair(item) for item in args.rename)
    mapping = {}
    if args.format == 'png':
        mapping = read_mapping(args.map, args.source)
        found = read_masks(args.source, args.images, mapping, args.suffix)
    elif args.format == 'coco':
        found = read_coco(args.source, args.images, args.crowd)
    else:
        read = READERS[args.format]
        found = read(args.source, args.images, args.line_width)
    samples, num_missing = _with_images(found, args)
    shapes = Counter(s.label for n in samples for s in n.shapes)
    background = getattr(args, 'background', None)
    classes, values = choose_classes(
        found.labels,
        shapes,
        args.classes,
        background,
        args.ignore,
        getattr(args, 'drop', ()),
        rename,
    )
    rules = Rules(
        values,
        IGNORE_INDEX if background is None else classes.index(background),
        getattr(args, 'on_top', '') == 'smallest',
        getattr(args, 'drop_empty', False),
        mapping,
    )
    counts = write_dataset(samples, classes, rules, args.out, args.workers)
    dropped = Counter(found.dropped)
    dropped['annotations without an image'] = num_missing
    return summarize(args.out, classes, counts, dropped)


def _pair(item: str) -> tuple[str, str]:
    old, equals, new = item.partition('=')
    if not (old and equals and new):
        raise UsageError(f'--rename takes OLD=NEW, but got {item!r}')
    return old, new


def _with_images(
    found: Annotations, args: argparse.Namespace
) -> tuple[list[Sample], int]:
    """Return the samples with an image, and the number of the others."""
    missing = [sample.source for sample in found.samples if not sample.image]
    all_missing = len(missing) == len(found.samples)
    if missing and (all_missing or not args.skip_missing):
        raise UsageError(
            f'{len(missing)} of {len(found.samples)} images were not found, '
            f'those of {first_few(missing)}; give their folder with --images, '
            'or leave them out with --skip-missing'
        )
    return [sample for sample in found.samples if sample.image], len(missing)


def summarize(
    out_dir: str,
    classes: Sequence[str],
    counts: Sequence[Counts],
    dropped: Counter[str],
) -> str:
    """Return what was written, in lines.

    Args:
        out_dir (str): The output folder.
        classes (Sequence[str]): Class names, in the order of the values.
        counts (Sequence[Counts]): What each sample holds.
        dropped (Counter[str]): What the reader left out.
    """
    notes: Counter[str] = sum((c.notes for c in counts), Counter())
    written = [c.pixels for c in counts if c.pixels.any()]
    pixels = np.sum(written, axis=0)
    images = np.count_nonzero(written, axis=0)
    names = [*enumerate(classes), (IGNORE_INDEX, '(ignored)')]
    lines = [f'{out_dir}: {len(written)} images, {len(classes)} classes']
    lines += [
        f'{value:5d} {name:24s} {pixels[value] / pixels.sum():8.3%} of the '
        f'pixels, in {images[value]} images'
        for value, name in names
    ]
    explained = {
        EMPTY: 'only the background class; --drop-empty leaves them out',
        OVERLAP: 'see --on-top',
        TURNED: 'the label maps fit the rotated image, as loaders return it',
    }
    for what, why in explained.items():
        if notes[what]:
            lines.append(f'{what}: {notes.pop(what):,} ({why})')
    lines += [
        f'dropped {what}: {number:,}'
        for what, number in (dropped + notes).items()
        if number > 0 and what not in explained
    ]
    lines.append(f'Train with: mmdavpt train --task segmentation {out_dir}')
    return '\n'.join(lines)
