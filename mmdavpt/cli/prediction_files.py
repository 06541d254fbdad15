"""Find images to predict, and write what a model predicts."""

import csv
import os.path as osp
from collections.abc import Iterable, Mapping
from glob import escape, glob

import cv2
import mmcv
import numpy as np
from mmengine.fileio import dump

from mmdavpt.api.tuned_model import TunedModel
from mmdavpt.datasets.folder_files import is_picture
from mmdavpt.datasets.segmentation_folder import palette
from mmdavpt.errors import UsageError, printable
from mmdavpt.progress import track


def find_images(inputs: Iterable[str]) -> dict[str, str]:
    """Return the files that inputs name.

    Args:
        inputs (Iterable[str]): Files, folders and patterns of names.

    Returns:
        dict[str, str]: Names, relative to the folder of all files, to paths.

    Raises:
        UsageError: If an input matches no image.
    """
    paths: list[str] = []
    for given in map(osp.expanduser, inputs):
        pattern = f'{escape(given)}/**' if osp.isdir(given) else given
        found = filter(is_picture, sorted(glob(pattern, recursive=True)))
        found = [given] if osp.isfile(given) else [*found]
        if not found:
            raise UsageError(f'{given} names no image; check the path')
        paths += map(osp.abspath, found)
    if not paths:
        raise UsageError('name images to predict after the checkpoint')
    folder = osp.commonpath([osp.dirname(path) for path in paths])
    return {osp.relpath(path, folder): path for path in paths}


def write_predictions(
    model: TunedModel, images: Mapping[str, str], out: str, top_k: int
) -> None:
    """Predict images and write the results.

    Args:
        model (TunedModel): The model.
        images (Mapping[str, str]): See :func:`find_images`.
        out (str): The folder of the results.
        top_k (int): How many classes of an image to write.
    """
    rows, table = [], [('image', 'rank', 'class', 'score')]
    names = model.classes
    colors = np.uint8(model.spec['palette'] or palette(len(names)))[:, ::-1]
    for name, path in track(images.items(), 'predict', len(images)):
        [result] = model.predict([path])
        image = printable(name)
        if model.segments:
            mask = result['mask'].numpy()
            found = find_polygons(mask)
            pixels = model.transform.load(path)['img'] // 2 + colors[mask] // 2
            mask = mask.astype(np.min_scalar_type(len(names) - 1))
            mmcv.imwrite(mask, f'{out}/masks/{name}.png')
            mmcv.imwrite(pixels, f'{out}/overlays/{name}.png')
        else:
            best = result['scores'].topk(min(top_k, len(names)))
            pairs = zip(*(values.tolist() for values in best), strict=True)
            found = [dict(label=label, score=score) for score, label in pairs]
        found = [dict(name=names[f['label']], **f) for f in found]
        rows.append(dict(image=image, predictions=found))
        for rank, f in enumerate(() if model.segments else found, 1):
            table.append((image, rank, f['name'], f['score']))
    dump(rows, f'{out}/predictions.json', ensure_ascii=False, indent=1)
    if not model.segments:
        with open(
            f'{out}/predictions.csv', 'w', encoding='utf-8', newline=''
        ) as file:
            csv.writer(file).writerows(table)
    print(f'{len(rows)} images; results in {out}', flush=True)


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
