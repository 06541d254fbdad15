"""Read LabelMe's JSON files, of versions 2 to 6."""

import base64
import os.path as osp
from collections import Counter
from functools import partial
from typing import Any

import numpy as np

from mmdavpt.errors import UsageError

from .image_index import ImageIndex, walk
from .regions import draw_lines, fill_bitmap, fill_ellipse, fill_polygons
from .samples import (
    Annotations,
    Sample,
    Shape,
    blame,
    check_label,
    check_points,
    read_json,
)

#: Kinds of shapes that are polygons; those with two points are boxes.
POLYGONS = ('polygon', 'rectangle', 'oriented_rectangle', 'rotation')
LINES = ('line', 'linestrip')
POINTS = ('point', 'points')


def read_labelme(
    source: str, images: str | None, line_width: int = 0
) -> Annotations:
    """Read a folder of LabelMe files, or one file.

    A file's image is the one that it names, or else the one that it embeds.

    Args:
        source (str): The folder or file.
        images (str, optional): Folder of the images. Defaults to that of the
            files.
        line_width (int): Thickness of lines and points; 0 drops them.
            Defaults to 0.

    Returns:
        Annotations: The annotations, with the labels in alphabetical order.

    Raises:
        UsageError: If a file is malformed or an image is missing.
    """
    folder = osp.dirname(source) if osp.isfile(source) else source
    if osp.isfile(source):
        names = [osp.basename(source)]
    else:
        names = list(walk(folder, ('.json',)))
    if not names:
        raise UsageError(f'{folder} has no JSON file')
    index = ImageIndex(images or folder or '.')
    samples = []
    for name in names:
        path = osp.join(folder, name)
        content = read_json(path)
        with blame(path):
            shapes = [_shape(s, line_width) for s in content['shapes']]
            image = _find_image(content, name, path, index)
            size = content.get('imageWidth'), content.get('imageHeight')
            size = None if None in size else (int(size[0]), int(size[1]))
        stem = osp.splitext(name)[0]
        samples.append(Sample(stem, image, path, size, shapes))
    labels = sorted({s.label for sample in samples for s in sample.shapes})
    return Annotations(
        samples,
        labels,
        Counter({'images without a JSON file': len(index.unused)}),
    )


def _shape(shape: dict[str, Any], line_width: int) -> Shape:
    label = check_label(shape['label'])
    kind = shape.get('shape_type') or 'polygon'
    points = check_points(shape['points'])
    fill = None
    if kind == 'mask':
        corner = tuple(np.rint(points[0]).astype(int).tolist())
        fill = partial(fill_bitmap, shape['mask'], corner)
    elif kind == 'circle':
        if len(points) != 2:
            raise ValueError(f'a circle has {len(points)} points, not 2')
        radius = float(np.hypot(*(points[1] - points[0])))
        fill = partial(fill_ellipse, points[0], (radius, radius), 0)
    elif kind in POLYGONS:
        if kind != 'polygon' and len(points) == 2:
            (x0, y0), (x1, y1) = points
            points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        if len(points) > 2:
            fill = partial(fill_polygons, [points])
    elif kind not in (*LINES, *POINTS):
        raise ValueError(f'the shape_type {kind!r} is unknown')
    elif line_width:
        lines = [points] if kind in LINES else list(points[:, None])
        fill = partial(draw_lines, lines, line_width)
    return Shape(label, fill, kind)


def _find_image(
    content: dict[str, Any], name: str, path: str, index: ImageIndex
) -> str | bytes | None:
    """Return the path or content of the image of a file."""
    named = (content.get('imagePath') or '').replace('\\', '/')
    direct = osp.join(osp.dirname(path), named)
    if named and osp.isfile(direct):
        index.unused.discard(osp.relpath(direct, index.folder))
        return osp.normpath(direct)
    for guess in (named, osp.basename(named)) if named else ():
        image = index.find(osp.normpath(osp.join(osp.dirname(name), guess)))
        if image is not None:
            return image
    if content.get('imageData'):
        return base64.b64decode(content['imageData'], validate=True)
    return None
