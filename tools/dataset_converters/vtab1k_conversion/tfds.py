"""VTAB's datasets as prepared by TensorFlow Datasets, without TensorFlow.

A prepared dataset is a folder of TFRecord files, such as
``~/tensorflow_datasets/cifar100/3.0.2/cifar100-train.tfrecord-00000-of-00001``.
The examples have no keys, but they are in the order that VTAB uses.
"""

import glob
import json
import os.path as osp
import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, NoReturn

from PIL import Image

from mmdavpt.datasets.benchmarks import Benchmark
from mmdavpt.errors import UsageError

from .sources import clevr, kitti
from .sources.distances import bin_of
from .sources.example import Example, Splits
from .sources.tfrecord import Features, read_image, read_records
from .splits import RULES

#: Numbers of cars, vans and trucks among KITTI's types of objects.
VEHICLES = (0, 1, 2)


class Prepared(NamedTuple):
    """Name and labels of a dataset in TensorFlow Datasets.

    Attributes:
        name (str): Name of the dataset.
        label (Callable): Computes the label of the task from the features of
            an example.
        config (str): Its configuration, if it has several. Defaults to ''.
        scale (int): Factor of the pixels. Defaults to 1.
    """

    name: str
    label: Callable[[Features], int]
    config: str = ''
    scale: int = 1


def _feature(name: str, bins: int = 1, of: int = 1) -> Callable:
    """Return a function that reads a label and merges it into bins."""
    return partial(_integer, name, bins, of)


def _integer(name: str, bins: int, of: int, features: Features) -> int:
    (value,) = features[name]
    return int(value) * bins // of


def _clevr_count(features: Features) -> int:
    return len(features['objects/size']) - 3


def _clevr_dist(features: Features) -> int:
    return bin_of(min(features['objects/pixel_coords'][2::3]), clevr.DISTANCES)


def _kitti(features: Features) -> int:
    types = features['objects/type']
    depths = features['objects/location'][2::3]
    vehicles = [
        depth
        for kind, depth in zip(types, depths, strict=True)
        if kind in VEHICLES
    ]
    return bin_of(min([kitti.NO_VEHICLE, *vehicles]), kitti.DISTANCES)


_LABEL = _feature('label')
#: The dataset of each task.
PREPARED: dict[str, Prepared] = {
    'cifar': Prepared('cifar100', _LABEL),
    'caltech101': Prepared('caltech101', _LABEL),
    'dtd': Prepared('dtd', _LABEL),
    'oxford_flowers102': Prepared('oxford_flowers102', _LABEL),
    'oxford_iiit_pet': Prepared('oxford_iiit_pet', _LABEL),
    'svhn': Prepared('svhn_cropped', _LABEL),
    'sun397': Prepared('sun397', _LABEL, 'tfds'),
    'patch_camelyon': Prepared('patch_camelyon', _LABEL),
    'eurosat': Prepared('eurosat', _LABEL, 'rgb'),
    'resisc45': Prepared('resisc45', _LABEL),
    'diabetic_retinopathy': Prepared(
        'diabetic_retinopathy_detection', _LABEL, 'btgraham-300'
    ),
    'clevr_count': Prepared('clevr', _clevr_count),
    'clevr_dist': Prepared('clevr', _clevr_dist),
    'dmlab': Prepared('dmlab', _LABEL),
    'kitti': Prepared('kitti', _kitti),
    # TensorFlow Datasets stores its pixels as 0 and 1.
    'dsprites_loc': Prepared(
        'dsprites', _feature('label_x_position', 16, 32), scale=255
    ),
    'dsprites_ori': Prepared(
        'dsprites', _feature('label_orientation', 16, 40), scale=255
    ),
    'smallnorb_azi': Prepared('smallnorb', _feature('label_azimuth')),
    'smallnorb_ele': Prepared('smallnorb', _feature('label_elevation')),
}


def prepared_splits(task: Benchmark, folder: str) -> tuple[str, Splits]:
    """Read the splits of a task from a prepared dataset.

    Args:
        task (Benchmark): The task.
        folder (str): Folder of a version, with ``dataset_info.json``.

    Returns:
        tuple[str, Splits]: Name and version, as 'cifar100:3.0.2', and the
        examples in the order of the files. Their keys are file and index.

    Raises:
        UsageError: If the folder holds another dataset, or a file is missing
            or damaged.
    """
    prepared = PREPARED[task.name]
    version = _check_info(prepared, folder)
    name = '/'.join(filter(None, (prepared.name, prepared.config)))
    return f'{name}:{version}', {
        split: [
            example
            for path in _paths(prepared, folder, split)
            for example in _examples(prepared, path)
        ]
        for split in RULES[task.name].sources
    }


def _fail(prepared: Prepared, problem: str) -> NoReturn:
    name = '/'.join(filter(None, (prepared.name, prepared.config)))
    raise UsageError(
        f'{problem}; give the folder of a version of {name}, such as '
        f'~/tensorflow_datasets/{name}/3.0.0; if it is incomplete, prepare it '
        f'again with "tfds build {name}"'
    )


def _check_info(prepared: Prepared, folder: str) -> str:
    """Check that a folder holds the dataset; return its version."""
    path = osp.join(folder, 'dataset_info.json')
    try:
        with open(path, encoding='utf-8') as file:
            info = json.load(file)
        # In older versions only the folder names the configuration.
        config = prepared.config and osp.basename(
            osp.dirname(osp.abspath(folder))
        )
        found = info['name'], info.get('configName', config)
        version, form = info['version'], info.get('fileFormat', 'tfrecord')
    except FileNotFoundError:
        _fail(prepared, f'{folder} holds no dataset_info.json')
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _fail(prepared, f'{path} cannot be read ({error!r})')
    if found != (prepared.name, prepared.config):
        _fail(
            prepared,
            f'{folder} should hold {prepared.name}, but it holds '
            f'{"/".join(filter(None, found))}',
        )
    if form != 'tfrecord':
        _fail(
            prepared,
            f'{folder} should hold files of the format tfrecord, but holds '
            f'{form}',
        )
    return version


def _paths(prepared: Prepared, folder: str, split: str) -> list[str]:
    """Return the files of a split in order; check their number."""
    name = f'{prepared.name}-{split}.tfrecord-'
    pattern = osp.join(glob.escape(folder), f'{name}?????-of-?????')
    paths = sorted(glob.glob(pattern))
    if not paths:
        _fail(prepared, f'{folder} should hold {name}00000-of-*')
    count = int(re.search(r'(\d+)$', paths[0]).group())
    expected = [f'{name}{i:05d}-of-{count:05d}' for i in range(count)]
    if [osp.basename(path) for path in paths] != expected:
        _fail(
            prepared,
            f'{folder} should hold {count} files {name}*, but it holds '
            f'{len(paths)}',
        )
    return paths


def _examples(prepared: Prepared, path: str) -> list[Example]:
    """Return the examples of one file; their images are read later."""
    examples = []
    try:
        for index, (start, length, features) in enumerate(read_records(path)):
            read = partial(read_prepared, path, start, length, prepared.scale)
            key = f'{osp.basename(path)}:{index}'
            (_,) = features['image']
            examples.append(Example(key, prepared.label(features), read))
    except (ValueError, KeyError, TypeError, OSError) as error:
        _fail(prepared, f'{path} cannot be read ({error!r})')
    return examples


def read_prepared(
    path: str, start: int, length: int, scale: int
) -> Image.Image:
    """Read one image as RGB and multiply its pixels.

    Args:
        path (str): Path of the file.
        start (int): Offset of the content of the record, in bytes.
        length (int): Length of the content, in bytes.
        scale (int): The factor.

    Raises:
        UsageError: If the image cannot be decoded.
    """
    image = read_image(path, start, length)
    return image.point(lambda value: value * scale) if scale != 1 else image
