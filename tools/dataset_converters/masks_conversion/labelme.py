"""Read LabelMe's JSON files, of versions 2 to 6."""

import os.path as osp
from collections import Counter
from collections.abc import Callable
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
    read_size,
)

#: Kinds of shapes that are polygons; those with two points are boxes.
POLYGONS = ('polygon', 'rectangle', 'oriented_rectangle')
POLYGONS += ('rotation', 'quadrilateral')  # of X-AnyLabeling
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
        UsageError: If a file is malformed.
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
            shapes = [
                _shape(shape, line_width, f'shape {number} of {path}')
                for number, shape in enumerate(content['shapes'])
            ]
            image = _find_image(content, name, path, index)
            size = map(content.get, ('imageWidth', 'imageHeight'))
            size = read_size(*size)
        stem = osp.splitext(name)[0]
        samples.append(Sample(stem, image, path, size, shapes))
    labels = sorted({s.label for sample in samples for s in sample.shapes})
    dropped = Counter({'images without a JSON file': len(index.unused)})
    return Annotations(samples, labels, dropped)


def _shape(shape: dict[str, Any], line_width: int, place: str) -> Shape:
    with blame(place):
        label = check_label(shape['label'])
        kind = shape.get('shape_type') or 'polygon'
        points = check_points(shape['points'])
        return Shape(label, _fill(shape, kind, points, line_width), kind)


def _fill(
    shape: dict[str, Any], kind: str, points: np.ndarray, line_width: int
) -> Callable | None:
    """Return the function that fills a shape; None without an area."""
    if kind == 'mask':
        corner = tuple(np.rint(points[0]).astype(int).tolist())
        return partial(fill_bitmap, shape['mask'], corner)
    if kind == 'circle':
        if len(points) != 2:
            raise ValueError(f'a circle has {len(points)} points, not 2')
        radius = float(np.hypot(*(points[1] - points[0])))
        return partial(fill_ellipse, points[0], (radius, radius), 0)
    if kind in POLYGONS:
        if kind != 'polygon' and len(points) == 2:
            (x0, y0), (x1, y1) = points
            points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        return partial(fill_polygons, [points]) if len(points) > 2 else None
    if kind not in (*LINES, *POINTS):
        raise ValueError(f'the shape_type {kind!r} is unknown')
    lines = [points] if kind in LINES else list(points[:, None])
    return partial(draw_lines, lines, line_width) if line_width else None


def _find_image(
    content: dict[str, Any], name: str, path: str, index: ImageIndex
) -> str | None:
    """Return the path of the image of a file, or of the file itself."""
    named = (content.get('imagePath') or '').replace('\\', '/')
    direct = osp.join(osp.dirname(path), named)
    if named and osp.isfile(direct):
        index.unused.discard(osp.relpath(direct, index.folder))
        return osp.normpath(direct)
    for guess in (named, osp.basename(named)) if named else ():
        image = index.find(osp.normpath(osp.join(osp.dirname(name), guess)))
        if image is not None:
            return image
    return path if content.get('imageData') else None
