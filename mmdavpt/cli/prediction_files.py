"""Find images to predict, and write what a model predicts."""

import csv
import os.path as osp
from collections.abc import Iterable, Iterator, Mapping
from glob import escape, glob

import cv2
import mmcv
import numpy as np
from mmengine.fileio import dump

from mmdavpt.api import multi_task, transform, tuned_model
from mmdavpt.datasets.folders import palette
from mmdavpt.datasets.image_files import media_type
from mmdavpt.errors import UsageError, printable, warn
from mmdavpt.progress import track

#: Of one task or of several.
Model = tuned_model.TunedModel | multi_task.MultiTaskModel


def find_images(inputs: Iterable[str]) -> dict[str, str]:
    """Return the files that inputs name.

    Args:
        inputs (Iterable[str]): Files, folders and patterns of names. Videos
            in folders are left out.

    Returns:
        dict[str, str]: Names, relative to the folder of all files, to paths.

    Raises:
        UsageError: If an input matches no image.
    """
    paths: list[str] = []
    for given in map(osp.expanduser, inputs):
        pattern = f'{escape(given)}/**' if osp.isdir(given) else given
        found = sorted(glob(pattern, recursive=True))
        kinds = ['image'] + ['video'] * (pattern == given)
        found = [p for p in found if media_type(p) in kinds]
        found = [given] if osp.isfile(given) else found
        if not found:
            raise UsageError(f'{given} names no image; check the path')
        paths += map(osp.abspath, found)
    if not paths:
        raise UsageError('name images to predict after the checkpoint')
    folder = osp.commonpath([osp.dirname(path) for path in paths])
    return {osp.relpath(path, folder): path for path in paths}


def write_predictions(
    model: Model, images: Mapping[str, str], out: str, top_k: int, every: int
) -> int:
    """Predict images and write the results.

    An image that cannot be read is skipped, with a warning.

    Args:
        model (Model): The model. With several tasks,
            results have a field or a folder for the task.
        images (Mapping[str, str]): See :func:`find_images`.
        out (str): The folder of the results.
        top_k (int): How many classes of an image to write.
        every (int): Which frames of videos, see :func:`.frames_of`.

    Returns:
        int: The number of images that were skipped.
    """
    tasks = getattr(model, 'tasks', {None: model})
    fields = ['image'] if None in tasks else ['image', 'task']
    rows, table, skipped = [], [(*fields, 'rank', 'class', 'score')], []
    for name, picture, result in _results(model, images, every, skipped):
        task = result.get('task')
        own, names = tasks[task], tasks[task].classes
        where = dict(zip(fields, (printable(name), task), strict=False))
        if own.segments:
            colors = np.uint8(own.spec['palette'] or palette(len(names)))
            mask = result['mask'].numpy()
            found = find_polygons(mask)
            pixels = own.transform.load(picture)['img'] // 2
            pixels += colors[mask, ::-1] // 2
            mask = mask.astype(np.min_scalar_type(len(names) - 1))
            path = f'{task}/{name}' if task else name
            mmcv.imwrite(mask, f'{out}/masks/{path}.png')
            mmcv.imwrite(pixels, f'{out}/overlays/{path}.png')
        else:
            best = result['scores'].topk(min(top_k, len(names)))
            pairs = zip(*(values.tolist() for values in best), strict=True)
            found = [dict(label=label, score=score) for score, label in pairs]
        found = [dict(name=names[f['label']], **f) for f in found]
        rows.append(dict(where, predictions=found))
        for rank, f in enumerate(() if own.segments else found, 1):
            table.append((*where.values(), rank, f['name'], f['score']))
    dump(rows, f'{out}/predictions.json', ensure_ascii=False, indent=1)
    if not [*tasks.values()][0].segments:
        path = f'{out}/predictions.csv'
        with open(path, 'w', encoding='utf-8', newline='') as file:
            csv.writer(file).writerows(table)
    note = f', {len(skipped)} skipped' if skipped else ''
    number = len(rows) // len(tasks)
    print(f'{number} images{note}; results in {out}', flush=True)
    return len(skipped)


def _results(
    model: Model, images: Mapping[str, str], every: int, skipped: list
) -> Iterator[tuple[str, transform.Picture, dict]]:
    """Yield name, picture and result; append what cannot be read."""
    for name, path in track(images.items(), 'predict', len(images)):
        rest = 'it'
        try:
            for ending, picture in transform.frames_of(path, every):
                for found in model.predict([picture]):
                    yield f'{name}{ending}', picture, found
                rest = 'the rest'
        except UsageError as error:
            warn(f'{error}; {rest} is skipped')
            skipped.append(name)


def find_polygons(mask: np.ndarray) -> list[dict]:
    """Return the outlines of the regions of a mask.

    Args:
        mask (np.ndarray): Classes of pixels, (H, W).

    Returns:
        list[dict]: ``label``, ``polygon`` and ``holes``. Points are
        centers (x, y) of pixels of the region.
    """
    found = []
    for label in np.unique(mask).tolist():
        region = (mask == label).astype(np.uint8)
        lines, links = cv2.findContours(
            region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
        )
        points = [line[:, 0].tolist() for line in lines]
        parents = links[0, :, 3].tolist()
        for i in (i for i, parent in enumerate(parents) if parent < 0):
            holes = [p for p, k in zip(points, parents, strict=True) if k == i]
            found.append(dict(label=label, polygon=points[i], holes=holes))
    return found
