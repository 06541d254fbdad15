"""Findings about labels: classes, values and sizes."""

from collections.abc import Iterator

from mmdavpt.datasets.mask_values import suggest_value_map
from mmdavpt.errors import first_few

from .dataset_records import DatasetRecords, listed, names_of
from .finding import Finding

#: How many times as many images the most frequent class has as the rarest, to
#: be called imbalanced. Of two classes, predicting one always then gives an
#: accuracy of 95 %.
IMBALANCED_IMAGES = 20

#: The same for pixels: small objects are rare by nature.
IMBALANCED_PIXELS = 1000

#: Decoded label files per class from which a class without a pixel is worth a
#: warning if not all files were decoded.
ENOUGH_LABELS = 8


def class_out_of_range(data: DatasetRecords) -> Iterator[Finding]:
    """Find images whose class does not exist."""
    number = len(data.classes)
    wrong = [
        (record, k)
        for record, labels in zip(data.images, data.class_labels, strict=True)
        for k in labels
        if number and not 0 <= k < number
    ]
    if wrong:
        (record, k), more = wrong[0], f' ({len(wrong) - 1} more)'
        yield data.finding(
            'error',
            'class_out_of_range',
            f'{record.path} has the label {k}{more * (len(wrong) > 1)}, but '
            f'there are {number} classes, with labels from 0 to {number - 1}; '
            "correct the list, or the head's num_classes",
            [record for record, _ in wrong],
        )


def values_out_of_range(data: DatasetRecords) -> Iterator[Finding]:
    """Find pixel labels that are neither a class nor ignored."""
    number = len(data.classes)
    wrong = {
        k: pixels
        for k, pixels in sorted(data.values.items())
        if number and not 0 <= k < number and k != data.ignore_index
    }
    if wrong:
        files = [r for r in data.decoded_labels if r.values.keys() & wrong]
        values = [f'{k} in {n:,} pixels' for k, n in wrong.items()]
        advice = 'correct the files or the classes'
        if data.renumbered:
            advice += (
                ', or reduce_zero_label; the values in the files are '
                f'{first_few(sorted(data.stored_values), 10)}'
            )
        yield data.finding(
            'error',
            'values_out_of_range',
            f'{listed(files, "label file")} of {len(data.decoded_labels)} '
            f'have the labels {first_few(values, 5)}, but there are {number} '
            f'classes, with labels from 0 to {number - 1}, and '
            f'{data.ignore_index} is ignored; '
            f'{_advice(data) or advice}',
            files,
        )


def missing_classes(data: DatasetRecords) -> Iterator[Finding]:
    """Find classes without an image or a pixel."""
    counts = data.class_counts
    missing = [k for k, number in counts.items() if not number]
    present = len(counts) - len(missing)
    enough = (
        len(data.decoded_labels) == len(data.labels)
        or len(data.decoded_labels) >= ENOUGH_LABELS * len(counts)
        or present < 2
    )
    known = data.decoded_labels if data.labels else any(data.class_labels)
    if not missing or not known or not enough:
        return
    unit = f'pixel in {data.how_many_labels}' if data.labels else 'image'
    sentence = f'no {unit} has the class {names_of(missing, data.classes)}'
    if advice := data.labels and _advice(data):
        values = first_few(sorted(data.stored_values), 10)
        sentence = f'the masks contain only {values}, so {sentence}; {advice}'
        grave = True
    elif data.class_folder:
        # Else a stray folder, such as .ipynb_checkpoints, shifts the classes.
        grave = data.split == 'train'
        sentence = (
            f'takes each folder of {data.class_folder} as a class, but '
            f'{sentence}; add images, or remove the folder from all splits'
        )
    else:
        grave = present < 2 and data.split == 'train' and len(counts) > 1
        sentence += (
            '; the model cannot learn it, so add some or remove the class'
            if data.split == 'train'
            else '; its scores are undefined, so add some'
        )
    kind = 'class_without_pixels' if data.labels else 'class_without_images'
    yield data.finding('error' if grave else 'warning', kind, sentence)


def imbalance(data: DatasetRecords) -> Iterator[Finding]:
    """Find training classes that are far rarer than others."""
    present = {k: n for k, n in data.class_counts.items() if n}
    unit = 'pixels' if data.labels else 'images'
    limit = IMBALANCED_PIXELS if data.labels else IMBALANCED_IMAGES
    most, least = max(present.values(), default=0), min(present.values(), default=1)
    if data.split != 'train' or most < limit * least:
        return
    if len(data.decoded_labels) < len(data.labels):
        return
    rare = [k for k in present if most >= limit * present[k]]
    often = max(present, key=present.get)
    yield data.finding(
        'warning',
        'imbalance',
        f'the class {names_of([often], data.classes)} has {most:,} {unit}, '
        f'at least {limit:,} times as many as {names_of(rare, data.classes)};'
        ' judge the model by scores of single classes, or weight the classes',
    )


def label_sizes(data: DatasetRecords) -> Iterator[Finding]:
    """Find labels of another size than their image."""
    pairs = [
        (image, label)
        for image, label in zip(data.images, data.labels, strict=False)
        if image.loaded_size and label.loaded_size
        if image.loaded_size != label.loaded_size and len(label.shape) < 3
    ]
    if not pairs:
        return
    (image, label), more = pairs[0], f' ({len(pairs) - 1} more)'
    (w, h), (width, height) = label.loaded_size, image.loaded_size
    hint = ''
    if all(i.orientation > 4 for i, _ in pairs):
        hint = '; the images have orientation tags, which loading applies'
    elif all(i.loaded_size == l.loaded_size[::-1] for i, l in pairs):
        hint = '; the labels are transposed'
    yield data.finding(
        'error',
        'label_size',
        f'{label.path} has {w}×{h} pixels, but its image {image.path} has '
        f'{width}×{height}{more * (len(pairs) > 1)}; make the labels fit '
        f'their images{hint}',
        [record for pair in pairs for record in pair[::-1]],
    )


def color_labels(data: DatasetRecords) -> Iterator[Finding]:
    """Find labels that are loaded as colors."""
    found = [r for r in data.decoded_labels if len(r.shape) != 2]
    if not found:
        return
    if any(record.mode == 'P' for record in found):
        advice = "use imdecode_backend='pillow', which reads their numbers"
    else:
        colors = [
            f'({v >> 16}, {v >> 8 & 255}, {v & 255})'
            for v in sorted(found[0].stored_values)
        ]
        advice = (
            'map each color to a class with color_map of mmdavpt.LoadMasks; '
            f'the first has the colors {first_few(colors, 5)}'
        )
    yield data.finding(
        'error',
        'color_labels',
        f'{listed(found, "label file")} should have one number per pixel, '
        f'the class, but have {found[0].shape[-1]} channels; {advice}',
        found,
    )


def wide_labels(data: DatasetRecords) -> Iterator[Finding]:
    """Find labels that loading cuts to 8 bits."""
    found = [
        r
        for r in data.decoded_labels
        if r.bits > 8 and r.stored_high > 255 >= r.high
        and data.label_loader != 'LoadMasks'
    ]
    if found:
        yield data.finding(
            'error',
            'wide_labels',
            f'{listed(found, "label file")} have values up to '
            f'{found[0].stored_high:g}, but labels are read as 8 bits, that '
            'is up to 255; map them with value_map of mmdavpt.LoadMasks',
            found,
        )


def rejected_labels(data: DatasetRecords) -> Iterator[Finding]:
    """Find labels that their loader rejects, such as unknown values."""
    found = [r for r in data.labels if r.rejected]
    if found:
        more = f' ({len(found) - 1} more)' * (len(found) > 1)
        yield data.finding(
            'error', 'rejected_labels', f'{found[0].rejected}{more}', found
        )


def lossy_labels(data: DatasetRecords) -> Iterator[Finding]:
    """Find labels in a format that changes their values."""
    found = [r for r in data.labels if r.format in ('JPEG', 'MPO')]
    if found:
        yield data.finding(
            'error',
            'lossy_labels',
            f'{listed(found, "label file")} are JPEGs, which change the '
            'labels at borders; save the originals as PNG',
            found,
        )


def _advice(data: DatasetRecords) -> str:
    """Return the value map that would give each value a class, if any."""
    one_number = all(len(r.shape) == 2 for r in data.decoded_labels)
    if data.label_loader != 'LoadAnnotations' or data.renumbered:
        return ''
    number = len(data.classes) or None
    suggested = one_number and suggest_value_map(data.stored_values, number)
    if not suggested:
        return ''
    return (
        "load them with dict(type='mmdavpt.LoadMasks', "
        f'value_map={suggested}) in place of LoadAnnotations'
    )
