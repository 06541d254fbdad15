"""Findings about classes, label values and label sizes."""

from collections.abc import Iterable, Iterator

from mmdavpt.datasets.mask_values import suggest_value_map
from mmdavpt.errors import first_few

from .dataset_records import DatasetRecords, and_more, listed
from .finding import Finding

#: How many times as many images the most frequent class has as another one, to
#: be a warning. If there are two, always predicting one scores 95 %.
IMBALANCED_IMAGES = 20

#: The same for pixels: objects are rare by nature.
IMBALANCED_PIXELS = 1000

#: Decoded label files per class from which a class without a pixel is worth a
#: warning if not all files were decoded.
ENOUGH_LABELS = 8


def class_out_of_range(data: DatasetRecords) -> Iterator[Finding]:
    """Find images whose class does not exist."""
    number = len(data.built.classes)
    labels = zip(data.images, data.built.files.classes, strict=True)
    wrong = [(r, k) for r, ks in labels for k in ks if not 0 <= k < number]
    if wrong and number:
        record, k = wrong[0]
        yield data.finding(
            'class_out_of_range',
            'error',
            f'{record.path} has the label {k}{and_more(wrong)}, but there are '
            f'{number} classes, with labels from 0 to {number - 1}; correct '
            "the list, or the head's num_classes",
            [record for record, _ in wrong],
        )


def values_out_of_range(data: DatasetRecords) -> Iterator[Finding]:
    """Find pixel labels that are neither a class nor ignored."""
    number, ignored = len(data.built.classes), data.built.ignore_index
    valid = {*range(number), ignored}
    wrong = sorted(data.values.keys() - valid)
    if wrong and number:
        files = [r for r in data.labels if r.values.keys() & wrong]
        values = [f'{data.values[k]:,} pixels are {k}' for k in wrong]
        advice = 'correct the labels or the classes'
        if any(data.built.files.renumbering):
            stored = first_few(sorted(data.stored_values), 10)
            advice += f', or reduce_zero_label; the files have {stored}'
        yield data.finding(
            'values_out_of_range',
            'error',
            f'the labels of {listed(files, "file")} should be from 0 to '
            f'{number - 1}, for {number} classes, or {ignored} where ignored, '
            f'but {first_few(values, 5)}; {_value_map(data) or advice}',
            files,
        )


def missing_classes(data: DatasetRecords) -> Iterator[Finding]:
    """Find classes without an image or a pixel."""
    built, counts, decoded = data.built, data.class_counts, data.decoded_labels
    missing = [k for k, number in counts.items() if not number]
    one = len(counts) - len(missing) < 2
    known = len(decoded) if data.labels else any(built.files.classes)
    enough = data.complete or one or known >= ENOUGH_LABELS * len(counts)
    if not (missing and known and enough):
        return
    kind, where = 'class_without_images', 'image'
    if data.labels:
        kind, whole = 'class_without_pixels', len(data.labels)
        part = f'{len(decoded)} of ' * (len(decoded) < whole)
        where = f'pixel in {part}{whole} label files'
    training = built.split == 'train'
    grave = training and one and len(counts) > 1
    sentence = f'no {where} has the class {_names(missing, built.classes)}'
    if value_map := data.labels and _value_map(data):
        grave = True
        values = first_few(sorted(data.stored_values), 10)
        sentence = f'masks contain only {values}, so {sentence}; {value_map}'
    elif training:
        sentence += '; it cannot be learned, so add some or remove the class'
    else:
        sentence += '; its scores are undefined, so add some'
    yield data.finding(kind, 'error' if grave else 'warning', sentence)


def imbalance(data: DatasetRecords) -> Iterator[Finding]:
    """Find training classes that are far rarer than others."""
    present = {k: n for k, n in data.class_counts.items() if n}
    often = max(present, key=present.get, default=None)
    limit = IMBALANCED_PIXELS if data.labels else IMBALANCED_IMAGES
    rare = [k for k, n in present.items() if present[often] >= limit * n]
    if rare and data.complete and data.built.split == 'train':
        names = data.built.classes
        yield data.finding(
            'imbalance',
            'warning',
            f'the class {_names([often], names)} has {present[often]:,} '
            f'{"pixels" if data.labels else "images"}, at least {limit:,} '
            f'times as many as {_names(rare, names)}; look at the scores of '
            'single classes, or weight them',
        )


def label_sizes(data: DatasetRecords) -> Iterator[Finding]:
    """Find labels of another size than their image."""
    pairs = [
        (label, image)
        for image, label in zip(data.images, data.labels, strict=False)
        if image.loaded_size and label.loaded_size
        if image.loaded_size != label.loaded_size
    ]
    if pairs:
        label, image = pairs[0]
        (w, h), (width, height) = label.loaded_size, image.loaded_size
        turned = ': loading turns the image by its orientation tag'
        yield data.finding(
            'label_size',
            'error',
            f'{label.path} has {w}×{h} pixels, but its image {image.path} has '
            f'{width}×{height}{and_more(pairs)}; make labels fit their images'
            + turned
            * (image.orientation > 4),
            [record for pair in pairs for record in pair],
        )


def _value_map(data: DatasetRecords) -> str:
    """Return the advice to load labels with a value map; '' if none fits."""
    files = data.built.files
    given = vars(files.load_labels)
    mapped = given.get('value_map') or given.get('color_map')
    colored = any(len(record.shape) > 2 for record in data.labels)
    if mapped or colored or any(files.renumbering):
        return ''
    number = len(data.built.classes) or None
    if found := suggest_value_map(data.stored_values, number):
        loader = f"dict(type='mmdavpt.LoadMasks', value_map={found})"
        return f'load them with {loader} in place of LoadAnnotations'
    return ''


def _names(classes: Iterable[int], names: tuple[str, ...]) -> str:
    """Return classes with their numbers, such as 'cat (1)'."""
    numbered = (f'{names[k]} ({k})' for k in classes)
    return first_few(numbered, 5)
