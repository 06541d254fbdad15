"""CLEVR: rendered scenes, labelled by their objects."""

import json
import os.path as osp
from collections.abc import Callable
from functools import partial

from .distances import bin_of
from .downloads import Download, files_in
from .example import Example, Splits
from .images import image_from_file

CLEVR = Download(
    'CLEVR',
    'CLEVR_v1.0.zip',
    'https://cs.stanford.edu/people/jcjohns/clevr/',
)
#: Distances from the camera where the classes of the task start.
DISTANCES = (0.0, 8.0, 8.5, 9.0, 9.5, 10.0)


def clevr_count(folder: str) -> Splits:
    """Read CLEVR; the label is the number of objects, 3 to 10, minus 3.

    Args:
        folder (str): Folder of the unpacked download.

    Returns:
        dict[str, list[Example]]: 'train' and 'validation'; the scenes of
        'test' were never published.

    Raises:
        UsageError: If something is missing.
    """
    return _clevr(folder, lambda objects: len(objects) - 3)


def clevr_dist(folder: str) -> Splits:
    """Read CLEVR; the label is the distance of the closest object, of 6.

    Args:
        folder (str): Folder of the unpacked download.

    Returns:
        dict[str, list[Example]]: 'train' and 'validation'; the scenes of
        'test' were never published.

    Raises:
        UsageError: If something is missing.
    """
    return _clevr(
        folder,
        lambda objects: bin_of(
            min(thing['pixel_coords'][2] for thing in objects),
            DISTANCES,
        ),
    )


def _clevr(folder: str, label_of: Callable[[list[dict]], int]) -> Splits:
    """Return CLEVR's scenes with a label computed from their objects."""
    splits: Splits = {}
    for split, name in (('train', 'train'), ('validation', 'val')):
        images = CLEVR.locate(folder, f'CLEVR_v1.0/images/{name}')
        path = CLEVR.locate(
            folder, f'CLEVR_v1.0/scenes/CLEVR_{name}_scenes.json'
        )
        try:
            with open(path, encoding='utf-8') as file:
                labels = {
                    scene['image_filename']: label_of(scene['objects'])
                    for scene in json.load(file)['scenes']
                }
        except (IndexError, KeyError, TypeError, ValueError) as error:
            CLEVR.fail(
                f'{path} should describe scenes, but it does not ({error!r})'
            )
        files = files_in(images, '.png')
        if set(files) != set(labels):
            CLEVR.fail(
                f'{images} should hold the {len(labels)} images that {path} '
                f'describes, but it holds {len(files)} images'
            )
        splits[split] = [
            Example(
                key=file,
                label=labels[file],
                read=partial(image_from_file, osp.join(images, file)),
            )
            for file in files
        ]
    return splits
