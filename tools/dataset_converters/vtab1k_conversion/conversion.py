"""Convert a dataset to the folder of a VTAB-1k task."""

from mmdavpt.datasets.benchmarks import Benchmark
from mmdavpt.datasets.vtab1k import task_from
from mmdavpt.errors import UsageError
from mmdavpt.version import __version__

from .class_names import class_names, prepared_class_names
from .sources import DOWNLOADS, SOURCES, Splits
from .splits import (
    check_sizes,
    describe_splits,
    in_hash_order,
    vtab1k_splits,
)
from .tfds import prepared_splits
from .writing import write_task

#: Kinds of sources: original downloads, or files of TensorFlow Datasets.
KINDS = ('original', 'tfds')
#: The version of TensorFlow Datasets whose keys we use.
TFDS_VERSION = '4.9.10'

_SAME_RULE = (
    "VTAB's rule, with the keys of tensorflow-datasets "
    f'{TFDS_VERSION}; not proven to be the images of another copy'
)
_PATH_KEYS = (
    '; an early builder used paths of its machine as keys, so copies prepared '
    'with it have other images'
)
_COMPRESSED = (
    '; images are scaled and compressed as there, but with other versions of '
    'the libraries, so pixels may differ slightly'
)
#: Other differences from other copies, by task.
CAVEATS: dict[str, str] = {
    'caltech101': '; there the 30 training images of a class depend on the '
    'order of the file system, here the files are sorted, so other copies '
    'have other images',
    'eurosat': _PATH_KEYS,
    'resisc45': _PATH_KEYS,
    'sun397': _COMPRESSED,
    'diabetic_retinopathy': _COMPRESSED,
}


def convert(
    name: str,
    folder: str,
    out_dir: str,
    kind: str = 'original',
    check_size: bool = True,
    num_workers: int = 0,
) -> tuple[Benchmark, dict[str, int]]:
    """Write a task of VTAB-1k, see :func:`.write_task`.

    Args:
        name (str): Name of the task, or an alias.
        folder (str): Folder of the unpacked original download, or of a
            version that TensorFlow Datasets prepared.
        out_dir (str): Folder of all tasks.
        kind (str): One of ``KINDS``. Defaults to 'original'.
        check_size (bool): Whether to check the number of images against the
            published one. Defaults to True.
        num_workers (int): Number of processes; 0 uses this process.
            Defaults to 0.

    Returns:
        tuple[Benchmark, dict[str, int]]: The task, and the number of images
        written now, of each split.

    Raises:
        UsageError: If the source is incomplete or damaged, or the output
            folder holds other files.
    """
    task = task_from(name)
    read = {'original': _from_download, 'tfds': _from_prepared}[kind]
    splits, origin, names = read(task, folder)
    sizes = {split: len(examples) for split, examples in splits.items()}
    chosen = vtab1k_splits(task, splits)
    if check_size:
        check_sizes(task, chosen)
    _check_labels(task, chosen)
    origin.update(
        split_rule=describe_splits(task, sizes),
        written_by=f'mmdavpt {__version__}',
    )
    written = write_task(task, chosen, out_dir, origin, names, num_workers)
    return task, written


def _from_download(
    task: Benchmark, folder: str
) -> tuple[Splits, dict, list[str] | None]:
    """Read the original download and sort it by hash."""
    splits = SOURCES[task.name](folder)
    download = DOWNLOADS[task.name]
    origin = dict(
        source=f'original download: {download.title}',
        files=download.files,
        url=download.url,
        images=_SAME_RULE + CAVEATS.get(task.name, ''),
    )
    ordered = {
        split: in_hash_order(split, examples)
        for split, examples in splits.items()
    }
    return ordered, origin, class_names(task, splits)


def _from_prepared(
    task: Benchmark, folder: str
) -> tuple[Splits, dict, list[str] | None]:
    """Read files of TensorFlow Datasets, in their order."""
    version, splits = prepared_splits(task, folder)
    origin = dict(
        source=f'TensorFlow Datasets: {version}',
        images="VTAB's rule on this prepared version",
    )
    return splits, origin, prepared_class_names(task, folder)


def _check_labels(task: Benchmark, splits: Splits) -> None:
    labels = {e.label for examples in splits.values() for e in examples}
    wrong = labels - set(range(task.num_classes))
    if wrong:
        raise UsageError(
            f'the labels of {task.title} should be from 0 to '
            f'{task.num_classes - 1}, but one is {min(wrong)}; use the '
            'original download'
        )
