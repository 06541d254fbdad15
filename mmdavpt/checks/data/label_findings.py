"""Findings about classes, label values and label sizes."""

import os.path as osp
from collections.abc import Iterable, Iterator

from mmdavpt.datasets.mask_values import suggest_value_map
from mmdavpt.errors import first_few

from .dataset_records import DatasetRecords, listed
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
        more = f' ({len(wrong) - 1} more)' * (len(wrong) > 1)
        yield data.finding(
            'class_out_of_range',
            'error',
            f'{record.path} has the label {k}{more}, but there are {number} '
            f'classes, with labels from 0 to {number - 1}; correct the list, '
            "or the head's num_classes",
            [record for record, _ in wrong],
        )


def values_out_of_range(data: DatasetRecords) -> Iterator[Finding]:
    """Find pixel labels that are neither a class nor ignored."""
    number, ignored = len(data.built.classes), data.built.ignore_index
    wrong = {
        k: pixels
        for k, pixels in sorted(data.values.items())
        if not (0 <= k < number or k == ignored)
    }
    if wrong and number:
        files = [r for r in data.labels if r.values.keys() & wrong]
        values = [f'{n:,} pixels are {k}' for k, n in wrong.items()]
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
    sure = len(decoded) == len(data.labels)
    if not missing or not known:
        return
    if not (sure or one or known >= ENOUGH_LABELS * len(counts)):
        return
    where = 'image'
    if data.labels:
        part = '' if sure else f'{len(decoded)} of '
        where = f'pixel in {part}{len(data.labels)} label files'
    sentence = f'no {where} has the class {_names(missing, built.classes)}'
    dataset = built.files.dataset
    grave = built.split == 'train' and one and len(counts) > 1
    if value_map := data.labels and _value_map(data):
        grave = True
        values = first_few(sorted(data.stored_values), 10)
        sentence = f'masks contain only {values}, so {sentence}; {value_map}'
    elif _has_folders(data, missing):
        # A stray folder, such as .ipynb_checkpoints, shifts the classes.
        grave = built.split == 'train'
        sentence = (
            f'takes each folder of {dataset.img_prefix} as a class, but '
            f'{sentence}; add images, or remove the folder from all splits'
        )
    elif built.split == 'train':
        sentence += '; it cannot be learned, so add some or remove the class'
    else:
        sentence += '; its scores are undefined, so add some'
    kind = 'class_without_pixels' if data.labels else 'class_without_images'
    yield data.finding(kind, 'error' if grave else 'warning', sentence)


def imbalance(data: DatasetRecords) -> Iterator[Finding]:
    """Find training classes that are far rarer than others."""
    present = {k: n for k, n in data.class_counts.items() if n}
    often = max(present, key=present.get, default=None)
    limit = IMBALANCED_PIXELS if data.labels else IMBALANCED_IMAGES
    rare = [k for k, n in present.items() if present[often] >= limit * n]
    all_known = len(data.decoded_labels) == len(data.labels)
    if rare and all_known and data.built.split == 'train':
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
        (image, label)
        for image, label in zip(data.images, data.labels, strict=False)
        if image.loaded_size and label.loaded_size
        if image.loaded_size != label.loaded_size
    ]
    if not pairs:
        return
    (image, label), more = pairs[0], f' ({len(pairs) - 1} more)'
    (w, h), (width, height) = label.loaded_size, image.loaded_size
    hint = ''
    if image.orientation > 4:
        hint = ': loading turns the image by its orientation tag'
    elif (w, h) == (height, width):
        hint = ': they are transposed'
    yield data.finding(
        'label_size',
        'error',
        f'{label.path} has {w}×{h} pixels, but its image {image.path} has '
        f'{width}×{height}{more * (len(pairs) > 1)}; make labels fit their '
        f'images{hint}',
        [record for pair in pairs for record in pair[::-1]],
    )


def _value_map(data: DatasetRecords) -> str:
    """Return the advice to load labels with a value map; '' if none fits."""
    files, number = data.built.files, len(data.built.classes)
    maps = (
        getattr(files.load_labels, name, None)
        for name in ('value_map', 'color_map')
    )
    if any(maps) or any(files.renumbering):
        return ''
    if any(len(record.shape) > 2 for record in data.labels):
        return ''
    found = suggest_value_map(data.stored_values, number or None)
    if not found:
        return ''
    loader = f"dict(type='mmdavpt.LoadMasks', value_map={found})"
    return f'load them with {loader} in place of LoadAnnotations'


def _has_folders(data: DatasetRecords, classes: Iterable[int]) -> bool:
    """Return whether classes come from folders of that name."""
    dataset = data.built.files.dataset
    if not getattr(dataset, 'folder_to_idx', None) or dataset.ann_file:
        return False
    names = [data.built.classes[k] for k in classes]
    return all(osp.isdir(osp.join(dataset.img_prefix, n)) for n in names)


def _names(classes: Iterable[int], names: tuple[str, ...]) -> str:
    """Return classes with their numbers, such as 'cat (1)'."""
    numbered = (f'{names[k]} ({k})' for k in classes)
    return first_few(numbered, 5)
