"""Diabetic retinopathy, preprocessed like the winner of its contest."""

import csv
import os.path as osp
from functools import partial

import cv2
import numpy as np
from PIL import Image

from .downloads import Download
from .example import Example, Splits
from .images import bgr_from_file, image_from_bgr

RETINOPATHY = Download(
    'Diabetic Retinopathy Detection',
    'train.zip.*, test.zip.*, trainLabels.csv.zip (and from '
    'https://storage.googleapis.com/kaggle-forum-message-attachments/90528/'
    '2877/retinopathy_solution.csv the labels of the test images)',
    'https://www.kaggle.com/c/diabetic-retinopathy-detection/data',
)
#: Radius of the eye after scaling, in pixels; nine tenths of it are kept.
RADIUS = 300
KEPT_RADIUS = 270
GREY = 128
JPEG_QUALITY = 72


def diabetic_retinopathy(folder: str) -> Splits:
    """Read the images of both eyes with five grades, from 0 (healthy).

    The contest's test images are split into those of its public leaderboard,
    here 'validation', and those of its private one, here 'test'.

    Args:
        folder (str): Folder of the unpacked downloads: folders 'train' and
            'test' and both lists.

    Returns:
        dict[str, list[Example]]: 'train', 'validation' and 'test'.

    Raises:
        UsageError: If something is missing.
    """
    train_list = RETINOPATHY.locate(folder, 'trainLabels.csv')
    test_list = RETINOPATHY.locate(folder, 'retinopathy_solution.csv')
    return {
        split: _split(folder, images, path, usage)
        for split, images, path, usage in (
            ('train', 'train', train_list, None),
            ('validation', 'test', test_list, 'Public'),
            ('test', 'test', test_list, 'Private'),
        )
    }


def _split(
    folder: str, images: str, path: str, usage: str | None
) -> list[Example]:
    """Return the examples of a list, all or those of one usage."""
    root = RETINOPATHY.locate(folder, images)
    try:
        with open(path, encoding='utf-8', newline='') as file:
            rows = [
                (row['image'], int(row['level']))
                for row in csv.DictReader(file)
                if usage is None or row['Usage'] == usage
            ]
    except (KeyError, TypeError, ValueError) as error:
        RETINOPATHY.fail(
            f'{path} should have the columns image and level'
            f'{"" if usage is None else " and Usage"}, but it does not '
            f'({error!r})'
        )
    paths = [osp.join(root, f'{name}.jpeg') for name, _ in rows]
    RETINOPATHY.check_files(paths)
    return [
        Example(name, level, partial(read_eye, file))
        for (name, level), file in zip(rows, paths, strict=True)
    ]


def read_eye(path: str) -> Image.Image:
    """Read an eye like the form 'btgraham-300' of TensorFlow Datasets.

    Scale the radius to 300 pixels, add four times the difference to the
    blurred image to grey, mask and crop to nine tenths of the radius, and
    compress as JPEG of quality 72.

    Args:
        path (str): Path of the file.

    Raises:
        UsageError: If it cannot be read as an image.
    """
    pixels = bgr_from_file(path)
    scale = RADIUS / eye_radius(pixels)
    pixels = cv2.resize(pixels, dsize=None, fx=scale, fy=scale)
    blurred = cv2.GaussianBlur(pixels, (0, 0), RADIUS / 30)
    pixels = cv2.addWeighted(pixels, 4, blurred, -4, GREY)
    return image_from_bgr(_crop_to_eye(pixels), JPEG_QUALITY)


def eye_radius(pixels: np.ndarray) -> float:
    """Measure an eye: half the number of bright pixels in the middle row.

    Args:
        pixels (np.ndarray): The image, with shape (H, W, 3).

    Returns:
        float: The radius, or half the height if the row is dark.
    """
    row = pixels[pixels.shape[0] // 2].sum(axis=1)
    radius = (row > row.mean() / 10).sum() / 2
    return float(radius) if radius >= 1 else pixels.shape[0] / 2


def _crop_to_eye(pixels: np.ndarray) -> np.ndarray:
    """Grey out everything outside the kept radius, and crop to it."""
    height, width = pixels.shape[:2]
    middle, centre = height // 2, width // 2
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (centre, middle), KEPT_RADIUS, 1, thickness=-1)
    masked = np.where(mask[:, :, None] == 1, pixels, np.uint8(GREY))
    return masked[
        max(middle - KEPT_RADIUS, 0) : middle + KEPT_RADIUS,
        max(centre - KEPT_RADIUS, 0) : centre + KEPT_RADIUS,
    ]
