"""Findings about classes, label values and label sizes."""

from collections.abc import Iterable, Iterator

from mmdavpt.datasets.load_masks import suggest_value_map
from mmdavpt.errors import first_few

from .checked_dataset import CheckedDataset, Finding, and_more, listed

#: Decoded label files per class from which a class without a pixel is worth a
#: warning if not all files were decoded.
ENOUGH_LABELS = 8


def labels_out_of_range(data: CheckedDataset) -> Iterator[Finding]:
    """Find labels that are neither a class nor ignored."""
    number, ignored, counts = len(data.classes), data.ignore_index, data.counts
    wrong = sorted(counts.keys() - {*range(number), ignored})
    if not (wrong and number):
        return
    pairs = zip(data.labels or data.images, data.label_sets, strict=True)
    files = [record for record, labels in pairs if {*labels} & {*wrong}]
    found = [f'{counts[k]:,} {data.unit} have {k}' for k in wrong]
    or_ignored = f', or {ignored} where ignored' * (ignored is not None)
    advice = 'correct the labels or the classes'
    if data.renumbers:
        stored = first_few(data.stored_values, 10)
        advice += f', or reduce_zero_label; the files have {stored}'
    what = (
        f'the labels of {listed(files, "file")} should be from 0 to '
        f'{number - 1}, for {number} classes{or_ignored}, but '
        f'{first_few(found, 5)}; {_value_map(data) or advice}'
    )
    yield data.finding('labels_out_of_range', 'error', what, files)


def missing_classes(data: CheckedDataset) -> Iterator[Finding]:
    """Find classes without an image or a pixel."""
    counts, sets = data.class_counts, data.label_sets
    missing = [k for k, number in counts.items() if not number]
    one = len(counts) - len(missing) < 2
    known, whole = len([*filter(None, sets)]), len(sets)
    enough = known >= ENOUGH_LABELS * len(counts)
    if not (missing and known and (data.complete or one or enough)):
        return
    part = f'{known} of ' * (known < whole)
    where = f'pixel in {part}{whole} label files' if data.labels else 'image'
    what = f'no {where} has the class {_names(missing, data.classes)}'
    training = data.split == 'train'
    severity = 'error' if training and one else 'warning'
    if value_map := _value_map(data):
        severity, values = 'error', first_few(data.stored_values, 10)
        what = f'masks contain only {values}, so {what}; {value_map}'
    elif training:
        what += '; it cannot be learned, so add some or remove the class'
    else:
        what += '; its scores are undefined, so add some'
    yield data.finding(f'class_without_{data.unit}', severity, what)


def label_sizes(data: CheckedDataset) -> Iterator[Finding]:
    """Find labels of another size than their image."""
    pairs = []
    for image, label in zip(data.images, data.labels, strict=False):
        sizes = (image.loaded_size, label.loaded_size)
        if all(sizes) and sizes[0] != sizes[1]:
            pairs.append((label, image))
    if pairs:
        label, image = pairs[0]
        (w, h), (width, height) = label.loaded_size, image.loaded_size
        turned = ': loading turns the image by its orientation tag'
        turned *= image.orientation > 4
        what = (
            f'{label.path} has {w}×{h} pixels, but its image {image.path} has '
            f'{width}×{height}{and_more(pairs)}; make labels fit their images'
            f'{turned}'
        )
        files = [record for pair in pairs for record in pair]
        yield data.finding('label_size', 'error', what, files)


def _value_map(data: CheckedDataset) -> str:
    """Return the advice to load labels with a value map; '' if none fits."""
    loader = data.load_labels
    mapped = any(getattr(loader, f'{k}_map', None) for k in ('value', 'color'))
    colored = any(len(record.shape) > 2 for record in data.labels)
    if mapped or colored or data.renumbers:
        return ''
    number = len(data.classes) or None
    if found := suggest_value_map(data.stored_values, number):
        loader = f"dict(type='mmdavpt.LoadMasks', value_map={found})"
        return f'load them with {loader} in place of LoadAnnotations'
    return ''


def _names(classes: Iterable[int], names: tuple[str, ...]) -> str:
    """Return classes with their numbers, such as 'cat (1)'."""
    return first_few((f'{names[k]} ({k})' for k in classes), 5)
