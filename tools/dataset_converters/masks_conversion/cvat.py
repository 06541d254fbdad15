"""Read the XML files that CVAT exports as 'CVAT for images 1.1'."""

import os.path as osp
from collections import Counter
from collections.abc import Callable
from functools import partial
from xml.etree import ElementTree

import numpy as np

from mmdavpt.errors import UsageError

from .image_index import ImageIndex, plain_name
from .regions import (
    check_runs,
    draw_lines,
    fill_ellipse,
    fill_polygons,
    fill_runs,
)
from .samples import (
    Annotations,
    Sample,
    Shape,
    blame,
    check_label,
    check_points,
)

#: Elements of an image that are no shapes, or have no area in the image.
NO_AREA = ('tag', 'cuboid', 'skeleton')


class _NoEntities(ElementTree.TreeBuilder):
    """Refuse the declarations that could expand to gigabytes."""

    def doctype(self, *_: object) -> None:
        raise ValueError('it declares a document type, which CVAT never does')


def read_cvat(
    source: str, images: str | None, line_width: int = 0
) -> Annotations:
    """Read an XML file, or the folder with its ``annotations.xml``.

    Args:
        source (str): The file or folder.
        images (str, optional): Folder of the images. Defaults to that of the
            file.
        line_width (int): Thickness of lines and points; 0 drops them.
            Defaults to 0.

    Returns:
        Annotations: The annotations, with the labels in the order of the
        task.

    Raises:
        UsageError: If the file is malformed.
    """
    if osp.isdir(source):
        source = osp.join(source, 'annotations.xml')
    with blame(source):
        try:
            parser = ElementTree.XMLParser(target=_NoEntities())
            root = ElementTree.parse(source, parser).getroot()
        except ElementTree.ParseError as error:
            raise ValueError(error) from error
        if root.find('track') is not None:
            raise UsageError(
                f"{source} holds tracks; export it as 'CVAT for images 1.1'"
            )
        if root.tag != 'annotations' or root.find('image') is None:
            raise ValueError('it has no <image> in <annotations>')
        names = root.iterfind('meta//labels/label/name')
        labels = [check_label(name.text) for name in names]
    index = ImageIndex(images or osp.dirname(source) or '.')
    samples = [
        _sample(image, source, index, line_width)
        for image in root.iter('image')
    ]
    found = dict.fromkeys(s.label for n in samples for s in n.shapes)
    dropped = Counter({'images that the file lacks': len(index.unused)})
    return Annotations(samples, [*dict.fromkeys([*labels, *found])], dropped)


def _sample(
    image: ElementTree.Element,
    source: str,
    index: ImageIndex,
    line_width: int,
) -> Sample:
    name = image.get('name') or ''
    with blame(f'the image {name!r} of {source}'):
        shapes = [_shape(element, line_width) for element in image]
        # Later shapes cover earlier ones of the same z_order.
        size = int(image.attrib['width']), int(image.attrib['height'])
        path = index.find(name)
    stem = osp.splitext(plain_name(name))[0]
    return Sample(stem, path, f'{name} of {source}', size, shapes)


def _shape(element: ElementTree.Element, line_width: int) -> Shape:
    label = check_label(element.get('label'))
    layer = int(element.get('z_order', 0))
    return Shape(label, _fill(element, line_width), element.tag, layer)


def _fill(element: ElementTree.Element, line_width: int) -> Callable | None:
    """Return the function that fills an element; None without an area."""
    kind = element.tag
    turn = float(element.get('rotation', 0))
    if kind in NO_AREA:
        return None
    if kind == 'mask':
        left, top, width, height = _numbers(element, 'left top width height')
        shape = int(height), int(width)
        runs = [int(count) for count in element.attrib['rle'].split(',')]
        counts = check_runs(runs, shape)
        return partial(fill_runs, counts, shape, (int(left), int(top)), 'C')
    if kind == 'ellipse':
        center = _numbers(element, 'cx cy')
        return partial(fill_ellipse, center, _numbers(element, 'rx ry'), turn)
    if kind == 'box':
        x0, y0, x1, y1 = _numbers(element, 'xtl ytl xbr ybr')
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        return partial(fill_polygons, [_rotate(corners, turn)])
    if kind not in ('polygon', 'polyline', 'points'):
        raise ValueError(f'the shape <{kind}> is unknown')
    points = check_points(
        [pair.split(',') for pair in element.attrib['points'].split(';')]
    )
    if kind == 'polygon':
        return partial(fill_polygons, [points]) if len(points) > 2 else None
    lines = [points] if kind == 'polyline' else list(points[:, None])
    return partial(draw_lines, lines, line_width) if line_width else None


def _numbers(element: ElementTree.Element, names: str) -> np.ndarray:
    values = [element.attrib[name] for name in names.split()]
    return check_points(values).reshape(-1)


def _rotate(points: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate points clockwise around their mean."""
    angle = np.radians(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    center = points.mean(0)
    matrix = np.array([(cosine, sine), (-sine, cosine)])
    # Without a rotation, the corners must stay exactly where they are.
    return (points - center) @ matrix + center if degrees else points
