"""Select the images of a VTAB-1k task, and their order.

VTAB takes its 1,000 training images from the start of the splits of TensorFlow
Datasets. That package sorts the examples of a split by a hash of split and key
before it writes files, and slices such as ``train[:800]`` count in that order.
So only the keys determine the images. The number of files determines only the
order in which TensorFlow Datasets reads them.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mmdavpt.datasets.benchmarks import Benchmark
from mmdavpt.datasets.vtab1k import TRAINING_SIZES
from mmdavpt.errors import UsageError

from .sources.example import Example, Splits

#: Name of a split of TensorFlow Datasets, and a range of its examples.
Places = tuple[str, range]


class Part(NamedTuple):
    """A part of a split of TensorFlow Datasets, in percent.

    Attributes:
        split (str): Name of the split.
        start (int): Start of the part. Defaults to 0.
        stop (int): End of the part. Defaults to 100.
    """

    split: str
    start: int = 0
    stop: int = 100

    def places(self, sizes: dict[str, int]) -> Places:
        """Return the range of the part in its split.

        Args:
            sizes (dict[str, int]): The number of examples of each split.
        """
        size = sizes[self.split]
        start, stop = (size * at // 100 for at in (self.start, self.stop))
        return self.split, range(start, stop)


class SplitRule(NamedTuple):
    """Source of the images of a task.

    Attributes:
        train (Part): The first 800 are the split 'train800'.
        val (Part): The first 200 are the split 'val200'.
        test (Part): All of them are the split 'test'.
    """

    train: Part
    val: Part
    test: Part

    @property
    def sources(self) -> list[str]:
        """list[str]: The splits of TensorFlow Datasets in this rule."""
        return list(dict.fromkeys(part.split for part in self))

    def places(self, sizes: dict[str, int]) -> dict[str, list[Places]]:
        """Return the ranges of each split of VTAB-1k.

        Args:
            sizes (dict[str, int]): The number of examples of each split of
                TensorFlow Datasets.

        Returns:
            dict[str, list[Places]]: By split of VTAB-1k.
        """
        (train, first), (val, second), test = (p.places(sizes) for p in self)
        train800 = train, first[: TRAINING_SIZES['train800']]
        val200 = val, second[: TRAINING_SIZES['val200']]
        return {
            'train800': [train800],
            'val200': [val200],
            'train800val200': [train800, val200],
            'test': [test],
        }


_PUBLISHED = SplitRule(Part('train'), Part('validation'), Part('test'))


def _without_val(percent: int, test: str = 'test') -> SplitRule:
    """Return the rule that validates on the end of the training split."""
    return SplitRule(
        Part('train', 0, percent), Part('train', percent), Part(test)
    )


def _from_one(train: int, trainval: int) -> SplitRule:
    """Return the rule of a dataset with a single split."""
    return SplitRule(
        Part('train', 0, train),
        Part('train', train, trainval),
        Part('train', trainval),
    )


#: The rule of each task in VTAB's code: google-research/task_adaptation,
#: task_adaptation/data/*.py.
RULES: dict[str, SplitRule] = {
    'cifar': _without_val(90),
    'caltech101': _without_val(90),
    'dtd': _PUBLISHED,
    'oxford_flowers102': _PUBLISHED,
    'oxford_iiit_pet': _without_val(80),
    'svhn': _without_val(90),
    'sun397': _PUBLISHED,
    'patch_camelyon': _PUBLISHED,
    'eurosat': _from_one(60, 80),
    'resisc45': _from_one(60, 80),
    'diabetic_retinopathy': _PUBLISHED,
    # The labels of CLEVR's test images were never published.
    'clevr_count': _without_val(90, 'validation'),
    'clevr_dist': _without_val(90, 'validation'),
    'dmlab': _PUBLISHED,
    'kitti': _PUBLISHED,
    'dsprites_loc': _from_one(80, 90),
    'dsprites_ori': _from_one(80, 90),
    'smallnorb_azi': SplitRule(
        Part('train'), Part('test', 0, 50), Part('test', 50)
    ),
    'smallnorb_ele': SplitRule(
        Part('train'), Part('test', 0, 50), Part('test', 50)
    ),
}


def hash_of(split: str, key: str | int) -> bytes:
    """Return the hash by which TensorFlow Datasets sorts a split.

    It is the MD5 digest of the concatenated split name and key:
    ``tensorflow_datasets/core/hashing.py``, with the split as salt.

    Args:
        split (str): Name of the split in TensorFlow Datasets.
        key (str | int): Key of the example; a number is hashed as text.
    """
    text = split + str(key).replace('\\', '/')
    return hashlib.md5(text.encode(), usedforsecurity=False).digest()


def in_hash_order(split: str, examples: Sequence[Example]) -> list[Example]:
    """Sort the examples of a split like TensorFlow Datasets.

    Args:
        split (str): Name of the split in TensorFlow Datasets.
        examples (Sequence[Example]): Its examples, in any order.

    Returns:
        list[Example]: The sorted examples.

    Raises:
        UsageError: If two examples have the same key.
    """
    by_hash = {hash_of(split, each.key): each for each in examples}
    if len(by_hash) != len(examples):
        counts = Counter(str(each.key) for each in examples)
        twice = counts.most_common(1)[0][0]
        raise UsageError(
            f'the images of the split {split} should have different keys, '
            f'but two have the key {twice!r}; unpack the download again'
        )
    return [by_hash[digest] for digest in sorted(by_hash)]


def vtab1k_splits(task: Benchmark, splits: Splits) -> Splits:
    """Select the images of VTAB-1k.

    Args:
        task (Benchmark): The task.
        splits (Splits): The splits of TensorFlow Datasets, in its order.

    Returns:
        Splits: 'train800', 'val200', 'train800val200' (both of these) and
        'test'.
    """
    sizes = {split: len(examples) for split, examples in splits.items()}
    return {
        split: [
            splits[source][at] for source, places in parts for at in places
        ]
        for split, parts in RULES[task.name].places(sizes).items()
    }


def describe_splits(task: Benchmark, sizes: dict[str, int]) -> dict[str, str]:
    """Describe each split in the notation of TensorFlow Datasets.

    Args:
        task (Benchmark): The task.
        sizes (dict[str, int]): The number of examples of each split of
            TensorFlow Datasets.

    Returns:
        dict[str, str]: Such as 'train[0:800]+train[45000:45200]'.
    """
    return {
        split: '+'.join(
            f'{source}[{places.start}:{places.stop}]'
            for source, places in parts
        )
        for split, parts in RULES[task.name].places(sizes).items()
    }


def check_sizes(task: Benchmark, splits: Splits) -> None:
    """Check the numbers of images against the published ones.

    Args:
        task (Benchmark): The task.
        splits (Splits): Result of :func:`vtab1k_splits`.

    Raises:
        UsageError: If they differ.
    """
    for split, expected in task.sizes.items():
        if len(splits[split]) != expected:
            raise UsageError(
                f'{split} of {task.title} should have {expected} images, but '
                f'there are {len(splits[split])}; unpack the download again, '
                'or use another selection with --no-check-size'
            )
