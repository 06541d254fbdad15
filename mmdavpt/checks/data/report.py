"""The data report: numbers and findings of all datasets of a config."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.pool import ThreadPool

from mmdavpt.progress import track

from .checked_dataset import CheckedDataset, Finding
from .find import find_in, find_leaks
from .open_datasets import open_datasets


@dataclass(frozen=True)
class DatasetReport:
    """Numbers and findings of one dataset.

    Args:
        split (str): 'train', 'val' or 'test'.
        path (str): Its path in the config, such as
            'train_dataloader.dataset.datasets.0'.
        num_samples (int): How many samples it lists.
        same_as (str): The path of an earlier dataset with the same files;
            the numbers below are then those of the earlier one. Defaults to
            '': none.
        classes (tuple[str, ...]): Names of the classes; numbers if the
            dataset names none. Defaults to ().
        images_per_class (dict[str, int]): Images of each class, also of
            classes without one. Empty for segmentation. Defaults to {}.
        pixels_per_class (dict[str, int]): Pixels of each class. Empty for
            classification. Defaults to {}.
        label_values (dict[int, int]): Values of the loaded labels, and the
            number of pixels that have them. Defaults to {}.
        sizes (dict[str, tuple[int, int]]): Width and height of the images
            that are 'smallest', 'median' and 'largest' by area. Defaults to
            {}.
        formats (dict[str, int]): File formats to the number of images.
            Defaults to {}.
        findings (tuple[Finding, ...]): Errors first. Defaults to ().
    """

    split: str
    path: str
    num_samples: int
    same_as: str = ''
    classes: tuple[str, ...] = ()
    images_per_class: dict[str, int] = field(default_factory=dict)
    pixels_per_class: dict[str, int] = field(default_factory=dict)
    label_values: dict[int, int] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class DataReport:
    """The reports of all datasets of a config.

    Args:
        datasets (tuple[DatasetReport, ...]): In the order of the splits.
        findings (tuple[Finding, ...]): Findings across datasets, and about
            datasets that cannot be built. Errors first. Defaults to ().
    """

    datasets: tuple[DatasetReport, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def all_findings(self) -> list[Finding]:
        """The findings of all datasets and across them, errors first."""
        found = [f for part in self.datasets for f in part.findings]
        found += self.findings
        return sorted(found, key=lambda finding: finding.severity != 'error')

    @property
    def total(self) -> str:
        """The number of findings, such as '1 error, no warnings'."""
        found = [finding.severity for finding in self.all_findings]
        counts = [(found.count(kind), kind) for kind in ('error', 'warning')]
        parts = [f'{n or "no"} {kind}{"s" * (n != 1)}' for n, kind in counts]
        return ', '.join(parts)

    def name_of(self, part: DatasetReport) -> str:
        """Return the split of a dataset; its path if others have this split.

        Args:
            part (DatasetReport): The dataset.
        """
        splits = [other.split for other in self.datasets]
        return part.split if splits.count(part.split) == 1 else part.path


def make_report(
    cfg: dict, splits: Sequence[str], workers: int = 2
) -> tuple[DataReport, list[CheckedDataset]]:
    """Decode every file of every dataset of a config, and report on them.

    Args:
        cfg (dict): The config.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.
        workers (int): The number of threads. Defaults to 2.

    Returns:
        tuple[DataReport, list[CheckedDataset]]: The report, and the datasets
        that could be built.
    """
    parts, findings = open_datasets(cfg, splits)
    work = []
    for part in (part for part in parts if not part.same_as):
        places = part.places(range(len(part.samples)))
        work += [(part, place) for place in places]
    with ThreadPool(workers) as pool:
        done = pool.imap(lambda each: each[0].decode(each[1]), work, 16)
        for _ in track(done, 'reading files', len(work)):
            pass
    reports = tuple(_describe(part, parts) for part in parts)
    return DataReport(reports, (*findings, *find_leaks(parts))), parts


def _describe(
    data: CheckedDataset, parts: list[CheckedDataset]
) -> DatasetReport:
    """Return numbers and findings of a dataset, or who has the same files."""
    name = (data.split, data.path, len(data.dataset), data.same_as)
    if data.same_as:
        return DatasetReport(*name)
    classes, counts = data.classes, {}
    for k, number in data.class_counts.items() if data.images else ():
        # Two classes of ImageNet are called 'crane'.
        twin = classes.count(classes[k]) > 1
        counts[f'{classes[k]} ({k})' if twin else classes[k]] = number
    sizes = [record.loaded_size for record in data.images]
    sizes = sorted(filter(None, sizes), key=math.prod)
    chosen = {'smallest': 0, 'median': len(sizes) // 2, 'largest': -1}
    return DatasetReport(
        *name,
        classes=classes,
        label_values=dict(sorted(data.counts.items())) if data.labels else {},
        sizes={name: sizes[i] for name, i in chosen.items() if sizes},
        formats=dict(Counter(r.format for r in data.images if r.format)),
        findings=tuple(find_in(data, parts)),
        **{f'{data.unit}_per_class': counts},
    )
