"""The check of a run's data before anything heavy starts."""

import os.path as osp
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mmdavpt.checks.fit import is_local
from mmdavpt.datasets.image_files import file_defects
from mmdavpt.datasets.sample_check import SampleCheck
from mmdavpt.errors import UsageError

from .dataset_files import (
    class_of,
    lists_by_itself,
    reads_text_only,
    sample_check,
)
from .dataset_places import (
    datasets_of_splits,
    places_of,
    raise_missing,
    reads_labels,
)
from .folder_check import check_folders

#: The most files of a dataset of which the ends are read, evenly spread.
MOST_FILES = 100_000

#: The same for test data before a training, which does without them.
MOST_TEST_FILES = 1000

#: The annotations of a dataset that are decoded, evenly spread.
MOST_ANNOTATIONS = 64


def check_run_data(cfg: dict, training: bool) -> list[str]:
    """Check the data of a run, and before a training also those of its test.

    Args:
        cfg (dict): The config.
        training (bool): Whether it is to train, and not to test.

    Returns:
        List[str]: What a training can begin in spite of: broken files that
        it is to replace, and what is wrong with the test data, of which only
        some files are looked at.

    Raises:
        UsageError: If anything else is wrong with what the run reads.
    """
    notes: list[str] = []
    splits = ('train', 'val') if training else ('test',)
    done = check_data(cfg, splits, notes=notes)
    if training:
        try:
            check_data(cfg, ('test',), MOST_TEST_FILES, done)
        except UsageError as error:
            notes.append(f'{error}; training does not read it, testing will')
    return notes


def replaceable_files(cfg: dict) -> int:
    """Return how many broken files of the training set a run is to replace.

    Args:
        cfg (dict): The config.
    """
    return max(
        (
            hook.get('max_broken_files', 0)
            for hook in cfg.get('custom_hooks') or []
            if str(hook.get('type')).endswith('TrainingCheckHook')
        ),
        default=0,
    )


def check_data(
    cfg: dict,
    splits: Sequence[str],
    most_files: int = MOST_FILES,
    done: Collection[str] = (),
    notes: list[str] | None = None,
) -> set[str]:
    """Raise a sentence if data are missing or broken.

    Folders are listed, lists are read, of each image file the beginning and
    the end are, and a few annotations are decoded. For 10,000 JPEGs of 60 KB
    all that took 0.4 s when they were in memory, and 0.8 s from a local disk
    (two cores). ``tools/check_data.py`` decodes everything.

    Args:
        cfg (dict): The config.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.
        most_files (int): Of a dataset, of which the ends are read, evenly
            spread. Defaults to 100,000.
        done (Collection[str]): What earlier calls returned. Defaults to ().
        notes (List[str], optional): Where to append what is wrong with files
            that a training is to replace. Defaults to None: that is an error.

    Returns:
        Set[str]: What tells the datasets that have been checked from others.

    Raises:
        UsageError: If a file or folder does not exist, a folder has no image
            that the dataset would list, or a class of the training set has
            none; if a file is empty or truncated; or if a label is no class.
    """
    scope = cfg.get('default_scope', 'mmengine')
    done = set(done)
    for split, path, dataset in datasets_of_splits(cfg, splits):
        check_places(path, dataset, scope, split == 'train')
        files = files_key(dataset)
        if files not in done and reads_text_only(class_of(dataset, scope)):
            done.add(files)
            check = sample_check(cfg, path, dataset)
            if split == 'train' and notes is not None:
                notes += replaced_note(
                    path, check, most_files, replaceable_files(cfg)
                )
            check_samples(path, check, most_files)
    return done


def check_places(path: str, dataset: dict, scope: str, training: bool) -> None:
    """Raise a sentence if a place that a dataset reads is missing or bare.

    Args:
        path (str): Path of the dataset in the config.
        dataset (dict): Its config, and not that of a wrapper.
        scope (str): The default scope of the config.
        training (bool): Whether it is trained on: each class needs images.

    Raises:
        UsageError: If so. Readers of this package are left out, as they say
            it themselves.
    """
    kind = class_of(dataset, scope)
    if lists_by_itself(kind):
        return
    places = places_of(dataset, scope)
    for place in places.values():
        if is_local(place) and not osp.exists(place):
            raise_missing(path, place)
    if kind is not None and all(map(is_local, places.values())):
        check_folders(path, dataset, places, kind, training)


def files_key(dataset: dict) -> str:
    """Return what two configs have in common that read the same files."""
    named = {k: v for k, v in dataset.items() if k != 'pipeline'}
    return repr((sorted(named.items()), reads_labels(dataset)))


def replaced_note(
    path: str, check: SampleCheck, most_files: int, most_broken: int
) -> list[str]:
    """Take out of a check the samples whose broken files will be replaced.

    Args:
        path (str): Path of the dataset in the config.
        check (SampleCheck): Of the dataset; changed in place.
        most_files (int): See :func:`check_data`.
        most_broken (int): How many files may be broken.

    Returns:
        List[str]: A sentence if there are any, and not too many.
    """
    if not most_broken:
        return []
    found = dict(file_defects(_files_to_check(check, most_files)))
    if not 0 < len(found) <= most_broken:
        return []
    check.samples = [
        info
        for info in check.samples
        if not {info['img_path'], info.get('seg_map_path')} & set(found)
    ]
    file, defect = next(iter(found.items()))
    more = (
        f' ({len(found) - 1} more files too)' if found.keys() - {file} else ''
    )
    return [
        f'{path}: {file} {defect}{more}; as max_broken_files allows, such '
        'samples are replaced by others'
    ]


def _files_to_check(check: SampleCheck, most_files: int) -> list[str]:
    chosen = evenly_spread(len(check.samples), most_files)
    files = [check.samples[i]['img_path'] for i in chosen]
    if check.load_labels is not None:
        files += [
            check.samples[i]['seg_map_path']
            for i in chosen
            if 'seg_map_path' in check.samples[i]
        ]
    return files


def check_samples(
    path: str, check: SampleCheck, most_files: int = MOST_FILES
) -> None:
    """Raise a sentence if a listed file is broken or a label is no class.

    Args:
        path (str): Path of the dataset in the config.
        check (SampleCheck): Of the dataset.
        most_files (int): See :func:`check_data`.

    Raises:
        UsageError: If so; it names the first file and how many there are.
    """
    files = _files_to_check(check, most_files)
    _raise_if(path, 'copy them again, or leave them out', file_defects(files))
    labels = [
        (info['img_path'], defect)
        for info in check.samples
        if (defect := check.class_defect(info)) is not None
    ]
    mend = "mend the list, or the head's num_classes"
    _raise_if(path, mend, labels)
    with ThreadPoolExecutor(8) as pool:
        chosen = evenly_spread(len(check.samples), MOST_ANNOTATIONS)
        found = sum(pool.map(check.annotation_defects, chosen), [])
    mend = 'check reduce_zero_label and the classes of the dataset'
    _raise_if(path, mend, found)


def evenly_spread(number: int, most: int) -> list[int]:
    """Return at most that many indices, from the first to the last.

    Args:
        number (int): How many things there are.
        most (int): How many indices at most.

    Returns:
        List[int]: All, or evenly spread ones.
    """
    if number <= most:
        return list(range(number))
    return np.linspace(0, number - 1, most).round().astype(int).tolist()


def _raise_if(path: str, mend: str, found: Sequence[tuple[str, str]]) -> None:
    if not found:
        return
    file, defect = found[0]
    more = len(found) - 1
    others = (
        f' ({more} more file{"s" if more > 1 else ""} too)' if more else ''
    )
    raise UsageError(
        f'{path}: {file} {defect}{others}; {mend}; '
        'tools/check_data.py lists every defect'
    )
