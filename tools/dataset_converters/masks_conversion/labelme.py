"""Read LabelMe's JSON files, of versions 2 to 6."""

import os.path as osp
from collections import Counter
from functools import partial

import numpy as np

from mmdavpt.datasets.image_files import list_files

from . import regions
from .annotations import Sample, Shape, blame, check_label, read_json

#: Kinds of shapes that are polygons; rectangles with two points are boxes.
POLYGONS = ('polygon', 'rectangle', 'oriented_rectangle')
NO_AREA = ('line', 'linestrip', 'point', 'points')


def read_labelme(source: str, notes: Counter) -> tuple[list[Sample], list]:
    """Read a folder of LabelMe files, or one file.

    Args:
        source (str): The folder or file.
        notes (Counter[str]): Counts what is left out.

    Returns:
        tuple[list[Sample], list[str]]: The samples, and the labels in
        alphabetical order.

    Raises:
        UsageError: If a file is malformed.
    """
    folder, names = osp.split(source)[0], [osp.basename(source)]
    if not osp.isfile(source):
        folder = source
        names = [n for n in list_files(source)[0] if n.lower()[-5:] == '.json']
    samples = []
    for name in names:
        path = osp.join(folder, name)
        content = read_json(path)
        with blame(path):
            named = (content.get('imagePath') or '').replace('\\', '/')
            image = osp.abspath(osp.join(osp.dirname(path), named))
            size = content.get('imageWidth'), content.get('imageHeight')
            shapes = []
            for number, shape in enumerate(content['shapes']):
                with blame(f'shape {number} of {path}'):
                    shapes += _read_shape(shape, notes)
        samples.append(Sample(name, path, size, shapes, image))
    return samples, sorted({s.label for n in samples for s in n.shapes})


def _read_shape(shape: dict, notes: Counter[str]) -> list[Shape]:
    """Return a shape, or none if it has no area."""
    label, kind = check_label(shape['label']), shape.get('shape_type')
    points, kind = regions.as_points(shape['points']), kind or 'polygon'
    if kind == 'mask':
        corner = tuple(np.rint(points[0, ::-1]).astype(int).tolist())
        fill = partial(regions.fill_bitmap, shape['mask'], corner)
        return [Shape(label, fill)]
    if kind == 'circle':
        center, edge = points
        radii = [float(np.hypot(*(edge - center)))] * 2
        return [Shape(label, partial(regions.fill_ellipse, center, radii, 0))]
    if kind == 'rectangle' and len(points) == 2:
        (x0, y0), (x1, y1) = points
        points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    if kind not in POLYGONS + NO_AREA:
        raise ValueError(f'the shape_type {kind!r} is unknown')
    if kind in NO_AREA or len(points) < 3:
        notes[f'left out: {kind} shapes without an area'] += 1
        return []
    return [Shape(label, partial(regions.fill_polygons, [points]))]
