"""Read the XML files that CVAT exports as 'CVAT for images 1.1'."""

import os.path as osp
from collections import Counter
from collections.abc import Callable
from functools import partial
from xml.etree import ElementTree

import cv2
import numpy as np

from . import regions
from .annotations import Sample, Shape, blame, check_label

#: Elements of an image that are no shapes, or have no area in the image.
NO_AREA = ('tag', 'cuboid', 'skeleton', 'polyline', 'points')


def read_cvat(source: str, notes: Counter) -> tuple[list[Sample], list]:
    """Read an XML file, or the folder with its ``annotations.xml``.

    Args:
        source (str): The file or folder.
        notes (Counter[str]): Counts what is left out.

    Returns:
        tuple[list[Sample], list[str]]: The samples, and the labels in the
        order of the task.

    Raises:
        UsageError: If the file is malformed.
    """
    if osp.isdir(source):
        source = osp.join(source, 'annotations.xml')
    with open(source, 'rb') as file, blame(source):
        root = ElementTree.parse(file).getroot()
        if root.tag != 'annotations' or root.find('image') is None:
            raise ValueError("it is no export as 'CVAT for images 1.1'")
        names = root.iterfind('meta//labels/label/name')
        labels = [check_label(name.text) for name in names]
    samples = []
    for image in root.iter('image'):
        name, shapes = image.get('name', ''), []
        place = f'{name} of {source}'
        with blame(place):
            size = int(image.attrib['width']), int(image.attrib['height'])
            for element in image:
                kind, layer = element.tag, int(element.get('z_order', 0))
                if kind in NO_AREA:
                    notes[f'left out: {kind} shapes without an area'] += 1
                else:
                    label = check_label(element.get('label'))
                    shapes.append(Shape(label, _fill(element), layer))
        samples.append(Sample(name, place, size, shapes))
    return samples, labels


def _fill(element: ElementTree.Element) -> Callable:
    """Return the function that fills an element."""
    kind, turn = element.tag, float(element.get('rotation', 0))
    if kind == 'mask':
        corner = tuple(map(int, _values(element, 'top left')))
        shape = tuple(map(int, _values(element, 'height width')))
        runs = [int(count) for count in element.attrib['rle'].split(',')]
        return partial(regions.fill_runs, runs, shape, corner, 'C')
    if kind == 'ellipse':
        center, radii = _values(element, 'cx cy'), _values(element, 'rx ry')
        return partial(regions.fill_ellipse, center, radii, turn)
    if kind == 'box':
        x0, y0, x1, y1 = _values(element, 'xtl ytl xbr ybr')
        points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        # OpenCV rounds to 32 bits; without a rotation, corners stay exact.
        if turn:
            center = (x0 + x1) / 2, (y0 + y1) / 2
            points = cv2.boxPoints((center, (x1 - x0, y1 - y0), turn))
    elif kind == 'polygon':
        pairs = element.attrib['points'].split(';')
        points = regions.as_points([pair.split(',') for pair in pairs])
    else:
        raise ValueError(f'the shape <{kind}> is unknown')
    return partial(regions.fill_polygons, [points.astype(float)])


def _values(element: ElementTree.Element, names: str) -> list[float]:
    values = [element.attrib[name] for name in names.split()]
    return regions.as_points(values).ravel().tolist()
