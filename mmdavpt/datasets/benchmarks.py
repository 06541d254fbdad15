"""Benchmark datasets: lookup by name, and the base of their readers."""

import csv
import json
import os.path as osp
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmpretrain.datasets import BaseDataset

from mmdavpt.errors import UsageError, check_choice

from .list_files import read_list


@dataclass(frozen=True)
class Benchmark:
    """A published dataset.

    Attributes:
        name (str): Its name in configs.
        title (str): Its name in papers.
        num_classes (int): Number of classes.
        sizes (dict[str, int]): Number of images of each split.
        names (tuple[str, ...]): Names of the dataset and its folder, the
            default folder first.
        group (str): The group that it belongs to, such as 'natural'.
        image_dirs (tuple[str, ...]): Folders that the image paths of the
            lists may be relative to; '' is the folder of the dataset.
    """

    name: str
    title: str
    num_classes: int
    sizes: dict[str, int]
    names: tuple[str, ...]
    group: str
    image_dirs: tuple[str, ...]

    def folder_in(self, parent: str) -> str:
        """Return its folder: the first of its names that exists.

        Args:
            parent (str): The folder that it is in.

        Returns:
            str: The folder; under its first name if none exists.
        """
        folders = [osp.join(parent, name) for name in self.names]
        return next(filter(osp.isdir, folders), folders[0])


def read_table(file: str, splits: Sequence[str]) -> dict[str, Benchmark]:
    """Read a table of benchmarks.

    Args:
        file (str): A CSV file in this folder. Several names in a cell are
            separated by spaces.
        splits (Sequence[str]): Names of its training images, its validation
            images, both of these, and its test images.

    Returns:
        dict[str, Benchmark]: By name, in the order of the table.
    """
    found = {}
    text = Path(__file__).with_name(file).read_text('utf-8')
    for row in csv.DictReader(text.splitlines()):
        train, val, test = (int(row.pop(k)) for k in ('train', 'val', 'test'))
        sizes = (train, val, train + val, test)
        row['sizes'] = dict(zip(splits, sizes, strict=True))
        row['num_classes'] = int(row['num_classes'])
        row['names'] = tuple(row['names'].split())
        row['image_dirs'] = ('', *row['image_dirs'].split())
        found[row['name']] = Benchmark(**row)
    return found


def find_by_name(
    name: object, known: Iterable[Benchmark], kind: str
) -> Benchmark:
    """Return the benchmark with a name; case and punctuation do not matter.

    Args:
        name (object): Name, title or alias of the benchmark.
        known (Iterable[Benchmark]): The benchmarks.
        kind (str): Name of the benchmarks in the message.

    Raises:
        UsageError: If none has the name.
    """
    names = {}
    for item in known:
        own = (item.name, item.title, *item.names)
        names |= dict.fromkeys(map(_simplify, own), item)
    if _simplify(name) not in names:
        choices = dict.fromkeys(item.name for item in names.values())
        check_choice(kind, name, choices)
    return names[_simplify(name)]


def _simplify(name: object) -> str:
    return ''.join(c for c in str(name).lower() if c.isalnum())


def read_json(path: str) -> object:
    """Read a JSON file of a fine-grained dataset.

    Args:
        path (str): The file.

    Raises:
        UsageError: If it is missing, or not valid JSON.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise UsageError(
            f'{path} cannot be read as JSON ({error}); make it with '
            'tools/dataset_converters/fgvc_splits.py'
        ) from None


def read_class_names(path: str, ids: Sequence[object]) -> list[str]:
    """Read the names of classes, in the order of the labels.

    Args:
        path (str): A JSON list, or a text file with a name a line.
        ids (Sequence[object]): Ids of the classes, which serve as names
            without such a file.

    Raises:
        UsageError: If the file does not name each class.
    """
    if not osp.isfile(path):
        return [*map(str, ids)]
    is_json = path.endswith('.json')
    names = read_json(path) if is_json else [n for _, n in read_list(path)]
    listed = isinstance(names, list)
    if not listed or [*map(type, names)] != [str] * len(ids):
        raise UsageError(
            f'{path} should list the names of {len(ids)} classes, but is '
            f'{str(names):.60}; correct it, or move it away'
        )
    return names


class BenchmarkDataset(BaseDataset):
    """Base of the readers of benchmarks.

    Args:
        known (Benchmark): The benchmark.
        split (str): One of its splits.
        check_size (bool): Whether to check the numbers of images and classes
            against the published ones. Defaults to True.
        **kwargs: See :class:`mmpretrain.datasets.BaseDataset`.

    Raises:
        UsageError: If the split is unknown.
    """

    def __init__(
        self, known: Benchmark, split: str, check_size: bool = True, **kwargs
    ) -> None:
        check_choice('the split', split, known.sizes)
        self.benchmark, self.split = known, split
        self.check_size = check_size
        super().__init__(ann_file='', **kwargs)

    def check_count(
        self, path: str, found: int, expected: int, what: str = 'images'
    ) -> None:
        """Compare a number with the published one.

        Args:
            path (str): The list that was read.
            found (int): The number in it.
            expected (int): The published number.
            what (str): What is counted. Defaults to 'images'.

        Raises:
            UsageError: If they differ, unless ``check_size`` is not set.
        """
        if self.check_size and found != expected:
            raise UsageError(
                f'{path} has {found} {what}, but {self.benchmark.title} has '
                f'{expected}; use the complete list, or set check_size=False '
                'to read a subset'
            )

    def name_classes(self, path: str, ids: Sequence[object]) -> None:
        """Name the classes, unless ``metainfo`` does.

        Args:
            path (str): See :func:`read_class_names`.
            ids (Sequence[object]): See there.
        """
        if 'classes' not in self._metainfo:
            self._metainfo['classes'] = tuple(read_class_names(path, ids))
