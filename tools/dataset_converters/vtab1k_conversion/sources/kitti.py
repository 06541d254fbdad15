"""KITTI: street scenes, labelled by their vehicles."""

import os.path as osp
from collections import defaultdict
from functools import partial

import numpy as np

from .distances import bin_of
from .downloads import Download, lines_of
from .example import Example, Splits
from .images import image_from_file

KITTI = Download(
    'KITTI (objects)',
    'data_object_image_2.zip, data_object_label_2.zip and devkit_object.zip',
    'https://www.cvlibs.net/datasets/kitti/eval_object.php',
)
#: Distances in metres where the classes of the task start.
DISTANCES = (-100.0, 8.0, 20.0, 999.0)
#: The distance of an image without a vehicle, in metres.
NO_VEHICLE = 1000.0


def kitti(folder: str) -> Splits:
    """Read KITTI; the label is the distance of the closest vehicle.

    The classes are up to 8 m, up to 20 m, farther, and no vehicle. Vehicles
    are cars, vans and trucks. The published training images are split by
    video, as in TensorFlow Datasets.

    Args:
        folder (str): Folder of the unpacked downloads.

    Returns:
        dict[str, list[Example]]: 'train', 'validation' and 'test'.

    Raises:
        UsageError: If something is missing or malformed.
    """
    images = KITTI.locate(folder, 'training/image_2')
    labels = KITTI.locate(folder, 'training/label_2')
    numbers = kitti_split(
        _kitti_videos(
            KITTI.locate(folder, 'devkit_object/mapping/train_rand.txt'),
            KITTI.locate(folder, 'devkit_object/mapping/train_mapping.txt'),
        )
    )
    KITTI.check_files(
        [
            path
            for split in numbers.values()
            for number in split
            for path in (
                osp.join(images, f'{number:06d}.png'),
                osp.join(labels, f'{number:06d}.txt'),
            )
        ]
    )
    return {
        split: [
            Example(
                key=f'{number:06d}.png',
                label=closest_vehicle(osp.join(labels, f'{number:06d}.txt')),
                read=partial(
                    image_from_file, osp.join(images, f'{number:06d}.png')
                ),
            )
            for number in sorted(members)
        ]
        for split, members in numbers.items()
    }


def closest_vehicle(path: str) -> int:
    """Return the class of the closest vehicle of a label file of KITTI.

    A line has 15 fields: the type is the first; fields 11 to 13 are the
    position in metres, whose last coordinate is the distance to the camera.

    Args:
        path (str): Path of the file.

    Raises:
        UsageError: If a line has another form.
    """
    distances = [NO_VEHICLE]
    for line in lines_of(path):
        try:
            kind, *_, distance, _ = fields = line.split()
            if len(fields) != 15:
                raise ValueError(f'{len(fields)} fields')
            if kind in ('Car', 'Van', 'Truck'):
                distances.append(float(distance))
        except ValueError as error:
            KITTI.fail(
                f'a line of {path} should have a type and 14 numbers, but '
                f'got {line!r} ({error})'
            )
    return bin_of(min(distances), DISTANCES)


def _kitti_videos(order: str, mapping: str) -> dict[str, list[int]]:
    """Return the numbers of the images of each video.

    Args:
        order (str): Path of 'train_rand.txt': for each image, the line of the
            mapping, from 1, separated by commas.
        mapping (str): Path of 'train_mapping.txt': lines of day, video, frame.
    """
    videos: dict[str, list[int]] = defaultdict(list)
    try:
        with open(mapping, encoding='utf-8') as file:
            lines = file.read().splitlines()
        for number, line in enumerate(''.join(lines_of(order)).split(',')):
            videos[lines[int(line) - 1].split()[1]].append(number)
    except (ValueError, IndexError) as error:
        KITTI.fail(
            f'{order} should number the lines of {mapping}, but it does not '
            f'({error})'
        )
    if len(videos) < 3:
        KITTI.fail(f'{mapping} should name videos, but it names {len(videos)}')
    return videos


def kitti_split(videos: dict[str, list[int]]) -> dict[str, list[int]]:
    """Split images by video: a tenth for test, a tenth for validation.

    Draws with NumPy's generator and seed 123, as in TensorFlow Datasets.

    Args:
        videos (dict[str, list[int]]): Numbers of the images of each video.

    Returns:
        dict[str, list[int]]: Numbers of the images of each split.
    """
    random = np.random.RandomState(123)
    tenth = max(1, len(videos) // 10)
    names = sorted(videos)
    test = set(random.choice(names, tenth, replace=False))
    rest = sorted(set(names) - test)
    validation = set(random.choice(rest, tenth, replace=False))
    splits: dict[str, list[int]] = {'train': [], 'validation': [], 'test': []}
    for name in names:
        split = (
            'test'
            if name in test
            else 'validation'
            if name in validation
            else 'train'
        )
        splits[split] += videos[name]
    return splits
