"""Check the data of a run in seconds, before the model is built."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from mmengine.dataset import BaseDataset

from mmdavpt.datasets.image_files import file_defects
from mmdavpt.errors import UsageError, first_few

from .built import sample_checks
from .folders import folder_findings
from .lists import list_findings

#: Maximum number of samples of a dataset whose files are checked.
MOST_FILES = 100_000

#: The same for test data before a training, which does not read it.
MOST_TEST_FILES = 1000

#: How many samples with pixel labels are decoded, evenly spread.
MOST_ANNOTATIONS = 64

#: Kinds of findings on missing files, which a training may replace.
MISSING = ('list_missing_file', 'images_without_labels')


def check_run_data(cfg: dict, training: bool) -> list[str]:
    """Check the data of a run, and before a training also its test data.

    Args:
        cfg (dict): The config.
        training (bool): Whether the run is a training, not a test.

    Returns:
        list[str]: Warnings: broken files that the training will replace, and
        defects of test data.

    Raises:
        UsageError: If data that the run reads is missing or broken.
    """
    notes = []
    for split in ('train', 'val') if training else ('test',):
        notes += check_split(cfg, split)
    if training:
        try:
            check_split(cfg, 'test', MOST_TEST_FILES)
        except UsageError as error:
            notes.append(f'{error}; training does not read it, testing will')
    return notes


def check_split(
    cfg: dict, split: str, most_files: int = MOST_FILES
) -> list[str]:
    """Check the folders, files and labels of a split.

    The first and last bytes of each file are read, and a few annotations are
    decoded: 0.4 to 0.8 s for 10,000 JPEGs of 60 KB. ``tools/check_data.py``
    decodes everything.

    Args:
        cfg (dict): The config.
        split (str): 'train', 'val' or 'test'.
        most_files (int): How many samples of a dataset have their files
            checked. Defaults to ``MOST_FILES``.

    Returns:
        list[str]: Notes on broken files that the training will replace.

    Raises:
        UsageError: If a dataset cannot be built, a class of the training set
            has no image, a file is missing or broken, or a label is wrong.
    """
    notes = []
    for path, dataset, check in sample_checks(cfg, split):
        samples = range(len(check.samples))
        for find in (list_findings, folder_findings):
            for finding in find(dataset, split):
                replaced = (
                    split == 'train'
                    and finding.kind in MISSING
                    and len(finding.files) <= _replaceable(cfg)
                )
                if finding.severity == 'error' and not replaced:
                    raise UsageError(f'{path}: {finding.sentence}')
        if split == 'train' and (empty := empty_class_folders(dataset)):
            raise UsageError(f'{path} {empty}')
        chosen = evenly_spread(len(samples), most_files)
        files = [file for i in chosen for file in check.files(i)]
        broken = file_defects(files)
        if broken and split == 'train' and len(broken) <= _replaceable(cfg):
            notes.append(
                f'{path}: {_listed(broken)}; max_broken_files allows it, so '
                'other samples replace them'
            )
        else:
            _raise_if(path, broken, 'copy them again, or leave them out')
        wrong = [(check.files(i)[0], check.class_defect(i)) for i in samples]
        wrong = [found for found in wrong if found[1] is not None]
        _raise_if(path, wrong, "correct the list, or the head's num_classes")
        if check.load_labels is not None:
            chosen = evenly_spread(len(samples), MOST_ANNOTATIONS)
            with ThreadPoolExecutor(8) as pool:
                wrong = sum(pool.map(check.defects, chosen), [])
            wrong = [found for found in wrong if found not in broken]
            _raise_if(path, wrong, 'check reduce_zero_label and the classes')
    return notes


def empty_class_folders(dataset: BaseDataset) -> str | None:
    """Return whether folders that a dataset takes as classes have no image.

    Args:
        dataset (BaseDataset): The dataset, built.

    Returns:
        str | None: The defect; None if all have images.
    """
    folders = getattr(dataset, 'folder_to_idx', None)
    found = set(dataset.get_gt_labels()) if folders else set()
    empty = [name for name, k in (folders or {}).items() if k not in found]
    if not empty:
        return None
    return (
        f'takes each folder of {dataset.img_prefix} as a class, but '
        f'{first_few(empty)} has no image; add images, or remove the folder '
        'from all splits'
    )


def evenly_spread(number: int, most: int) -> list[int]:
    """Return evenly spread indices, from the first to the last.

    Args:
        number (int): The number of items.
        most (int): The maximum number of indices.
    """
    most = min(number, most)
    return np.linspace(0, number - 1, most).round().astype(int).tolist()


def _replaceable(cfg: dict) -> int:
    """Return how many broken files of the training set a run replaces."""
    hooks = cfg.get('custom_hooks') or []
    return max((hook.get('max_broken_files', 0) for hook in hooks), default=0)


def _listed(defects: list[tuple[str, str]]) -> str:
    more = f' ({len(defects) - 1} more)' if defects[1:] else ''
    return f'{defects[0][0]} {defects[0][1]}{more}'


def _raise_if(path: str, found: list[tuple[str, str]], advice: str) -> None:
    if found:
        raise UsageError(
            f'{path}: {_listed(found)}; {advice}; tools/check_data.py lists '
            'every defect'
        )
