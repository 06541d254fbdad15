"""Read COCO's JSON files of instances."""

import os.path as osp
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from mmdavpt.errors import UsageError

from .image_index import ImageIndex, plain_name
from .regions import check_runs, fill_polygons, fill_runs
from .samples import (
    IGNORED,
    Annotations,
    Sample,
    Shape,
    blame,
    check_label,
    check_points,
    read_json,
    read_size,
)


def read_coco(
    source: str, folder: str | None, crowd: str | None = None
) -> Annotations:
    """Read a file of instances: polygons, run lengths, compressed ones.

    Args:
        source (str): The file.
        folder (str, optional): Folder of the images. Defaults to that of the
            file.
        crowd (str, optional): 'ignore' or 'class' for annotations with
            ``iscrowd``, which are below all others. Defaults to None: raise
            an error if there are any.

    Returns:
        Annotations: The annotations, with the labels in the order of the ids.

    Raises:
        UsageError: If the file is malformed.
    """
    content = read_json(source)
    index = ImageIndex(folder or osp.dirname(source) or '.')
    with blame(source):
        categories, images = content['categories'], content['images']
        names = {c['id']: check_label(c['name']) for c in categories}
        labels = [names[number] for number in sorted(names)]
        samples = {i['id']: _sample(i, source, index) for i in images}
        if len(samples) != len(images):
            raise ValueError('several images have the same id')
        annotations = list(content['annotations'])
    dropped: Counter[str] = Counter()
    for position, annotation in enumerate(annotations):
        with blame(f'annotation {position} of {source}'):
            sample = _look_up(samples, annotation['image_id'], 'image')
            label = _look_up(names, annotation['category_id'], 'category')
            if not annotation.get('segmentation'):
                dropped['annotations without a segmentation'] += 1
                continue
            fill = _fill(annotation['segmentation'], sample)
            is_crowd = bool(annotation.get('iscrowd'))
            if is_crowd and crowd is None:
                raise UsageError(
                    f'{source} has annotations with iscrowd=1; give --crowd '
                    'ignore, as COCO evaluates them, or --crowd class, since '
                    'CVAT marks brush masks that way'
                )
            label = IGNORED if is_crowd and crowd == 'ignore' else label
            sample.shapes.append(Shape(label, fill, 'polygon', -is_crowd))
    dropped['images that the file lacks'] = len(index.unused)
    return Annotations([*samples.values()], labels, dropped)


def _sample(image: dict[str, Any], source: str, index: ImageIndex) -> Sample:
    name = image['file_name']
    stem = osp.splitext(plain_name(name))[0]
    size = read_size(image.get('width'), image.get('height'))
    return Sample(stem, index.find(name), f'{name} of {source}', size, [])


def _look_up(table: dict[Any, Any], number: Any, what: str) -> Any:
    if number not in table:
        raise ValueError(f'no {what} has the id {number!r}')
    return table[number]


def _fill(segmentation: Any, sample: Sample) -> Callable | None:
    """Return the function that fills a segmentation; None without an area."""
    if isinstance(segmentation, dict):
        height, width = segmentation['size']
        if sample.size != (width, height):
            raise ValueError(
                f'its run lengths are for {width} x {height} pixels, but the '
                f'image has {sample.size}'
            )
        counts = check_runs(segmentation['counts'], (height, width))
        return partial(fill_runs, counts, (height, width), (0, 0), 'F')
    polygons = [check_points(polygon) for polygon in segmentation]
    polygons = [polygon for polygon in polygons if len(polygon) > 2]
    return partial(fill_polygons, polygons) if polygons else None
