"""Write annotations of a label map, slowly and by the formats' definitions."""

import base64
import io
import itertools
import json

import numpy as np
from PIL import Image

#: Label of each value; LabelMe and COCO leave out the background.
LABELS = ('background', 'cat', 'dog', 'tree')


def save_image(path, size, **options):
    """Write a photo of a given width and height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)


def row_boxes(mask):
    """Yield the corners of each run of pixels in a row."""
    for y, row in enumerate(mask):
        x = 0
        for inside, run in itertools.groupby(row.tolist()):
            end = x + len(list(run))
            if inside:
                yield [[x, y], [end, y], [end, y + 1], [x, y + 1]]
            x = end


def run_lengths(pixels):
    """Return the lengths of runs, of which the first is outside."""
    counts = [len(list(run)) for _, run in itertools.groupby(pixels.tolist())]
    return [0, *counts] if pixels[0] else counts


def png_base64(mask):
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, 'PNG')
    return base64.b64encode(file.getvalue()).decode()


def labelme_file(name, size, shapes, **others):
    return dict(
        version='5.5.0',
        flags={},
        imagePath=name,
        imageData=None,
        imageWidth=size[0],
        imageHeight=size[1],
        shapes=shapes,
        **others,
    )


def labelme_shape(label, points, kind='polygon', **others):
    return dict(
        label=label,
        points=points,
        shape_type=kind,
        group_id=None,
        description='',
        flags={},
        **others,
    )


def write_labelme(folder, name, labels, kind):
    """Write a label map as polygons or as cropped masks."""
    size = labels.shape[::-1]
    save_image(folder / f'{name}.jpg', size)
    shapes = []
    for value in range(1, len(LABELS)):
        mask = labels == value
        if kind == 'polygon':
            shapes += [
                labelme_shape(LABELS[value], box) for box in row_boxes(mask)
            ]
        elif mask.any():
            rows, columns = np.nonzero(mask)
            left, top = int(columns.min()), int(rows.min())
            right, bottom = int(columns.max()), int(rows.max())
            crop = mask[top : bottom + 1, left : right + 1]
            points = [[left, top], [right, bottom]]
            shapes.append(
                labelme_shape(
                    LABELS[value], points, 'mask', mask=png_base64(crop)
                )
            )
    content = labelme_file(f'{name}.jpg', size, shapes)
    (folder / f'{name}.json').write_text(json.dumps(content))


def coco_file(images, annotations, categories=LABELS[1:]):
    """Return a file whose ids have gaps and are not in order."""
    ids = {name: 3 * i + 7 for i, name in enumerate(categories)}
    return dict(
        info={},
        licenses=[],
        categories=[
            dict(id=i, name=n, supercategory='') for n, i in ids.items()
        ][::-1],
        images=[
            dict(id=100 - i, file_name=name, width=size[0], height=size[1])
            for i, (name, size) in enumerate(images)
        ],
        annotations=[
            dict(
                id=i,
                image_id=100 - image,
                category_id=ids[label],
                segmentation=segmentation,
                iscrowd=0,
                bbox=[0, 0, 1, 1],
                area=1,
            )
            | others
            for i, (image, label, segmentation, others) in enumerate(
                annotations
            )
        ],
    )


def coco_segmentation(mask, kind):
    """Return polygons, run lengths, or compressed ones."""
    if kind == 'polygon':
        return [list(itertools.chain(*box)) for box in row_boxes(mask)]
    if kind == 'runs':
        return dict(size=[*mask.shape], counts=run_lengths(mask.T.ravel()))
    text = compressed(run_lengths(mask.T.ravel()))
    return dict(size=[*mask.shape], counts=text)


def compressed(counts):
    """Encode run lengths as COCO does: 5 bits of a number per character."""
    text = ''
    for i, count in enumerate(counts):
        number = count - counts[i - 2] if i > 2 else count
        while True:
            bits, number = number & 31, number >> 5
            # The last character's highest bit is the sign.
            more = number != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
            if not more:
                break
    return text


def cvat_file(images, labels=LABELS[1:]):
    """Return the XML of (name, size, elements)."""
    tags = ''.join(
        f'<label><name>{n}</name><color>#ff0000</color></label>'
        for n in labels
    )
    body = ''.join(
        f'<image id="{i}" name="{name}" width="{size[0]}" height="{size[1]}">'
        f'{"".join(elements)}</image>'
        for i, (name, size, elements) in enumerate(images)
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>'
        '<version>1.1</version><meta><task><id>1</id>'
        f'<labels>{tags}</labels></task></meta>{body}</annotations>'
    )


def cvat_element(label, mask, kind):
    """Return elements of a mask: run lengths of its box, or polygons."""
    if kind == 'polygon':
        return ''.join(
            f'<polygon label="{label}" source="manual" occluded="0" points="'
            + ';'.join(f'{x:.2f},{y:.2f}' for x, y in box)
            + '" z_order="0"></polygon>'
            for box in row_boxes(mask)
        )
    rows, columns = np.nonzero(mask)
    top, left = rows.min(), columns.min()
    crop = mask[top : rows.max() + 1, left : columns.max() + 1]
    runs = ', '.join(map(str, run_lengths(crop.ravel())))
    return (
        f'<mask label="{label}" source="semi-auto" occluded="0" rle="{runs}" '
        f'left="{left}" top="{top}" width="{crop.shape[1]}" '
        f'height="{crop.shape[0]}" z_order="0"></mask>'
    )
