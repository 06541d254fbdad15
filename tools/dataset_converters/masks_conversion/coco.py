"""Read COCO's JSON files of instances."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from . import regions
from .annotations import IGNORED, Sample, Shape, blame, check_label, read_json


def read_coco(
    source: str, notes: Counter[str], crowd: str | None = None
) -> tuple[list[Sample], list[str]]:
    """Read a file of instances: polygons, run lengths, compressed ones.

    Args:
        source (str): The file.
        notes (Counter[str]): Counts what is left out.
        crowd (str, optional): 'ignore' or 'class' for annotations with
            ``iscrowd``, which are below all others. Defaults to None: raise
            an error if there are any.

    Returns:
        tuple[list[Sample], list[str]]: The samples, and the labels in the
        order of the ids.

    Raises:
        UsageError: If the file is malformed.
    """
    content = read_json(source)
    with blame(source):
        categories, images = content['categories'], content['images']
        names = {c['id']: check_label(c['name']) for c in categories}
        samples = {}
        for image in images:
            name, size = image['file_name'], (image['width'], image['height'])
            sample = Sample(name, f'{name} of {source}', size, [])
            samples[image['id']] = sample
        if len(samples) != len(images) or len(names) != len(categories):
            raise ValueError('two images or categories have the same id')
        annotations = list(content['annotations'])
    for position, entry in enumerate(annotations):
        with blame(f'annotation {position} of {source}'):
            number, category = entry['image_id'], entry['category_id']
            if number not in samples or category not in names:
                both = f'image {number!r} or category {category!r}'
                raise ValueError(f'the {both} is unknown')
            sample, label = samples[number], names[category]
            is_crowd = bool(entry.get('iscrowd'))
            if is_crowd and crowd is None:
                raise ValueError('for iscrowd=1, give --crowd ignore or class')
            label = IGNORED if is_crowd and crowd == 'ignore' else label
            fill = _fill(entry.get('segmentation'), sample.size)
            if fill is None:
                notes['left out: annotations without a segmentation'] += 1
            else:
                sample.shapes.append(Shape(label, fill, -is_crowd))
    return [*samples.values()], [names[number] for number in sorted(names)]


def _fill(segmentation: Any, image_size: tuple) -> Callable | None:
    """Return the function that fills a segmentation; None without an area."""
    if isinstance(segmentation, dict):
        counts, shape = segmentation['counts'], tuple(segmentation['size'])
        if shape != image_size[::-1]:
            raise ValueError(f'its run lengths are for {shape}')
        return partial(regions.fill_runs, counts, shape, (0, 0), 'F')
    polygons = [regions.as_points(polygon) for polygon in segmentation or ()]
    polygons = [polygon for polygon in polygons if len(polygon) > 2]
    return partial(regions.fill_polygons, polygons) if polygons else None
