"""The data report: numbers and findings of all datasets of a config."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from multiprocessing.pool import ThreadPool

from mmdavpt.progress import track

from .checked_dataset import CheckedDataset, Finding
from .find import find_in, find_leaks
from .open_datasets import open_datasets


@dataclass(frozen=True)
class DataReport:
    """The datasets of a config, and what is wrong with them.

    Args:
        datasets (Sequence[CheckedDataset]): In the order of the splits, with
            their findings.
        findings (Sequence[Finding]): Findings across datasets, and about
            datasets that cannot be built. Errors first. Defaults to ().
    """

    datasets: Sequence[CheckedDataset]
    findings: Sequence[Finding] = ()

    @cached_property
    def summaries(self) -> list[dict]:
        """Numbers and findings of each dataset: see :func:`summarize`."""
        return [summarize(data) for data in self.datasets]

    @property
    def all_findings(self) -> list[Finding]:
        """The findings of all datasets and across them, errors first."""
        found = [f for data in self.datasets for f in data.findings]
        found += self.findings
        return sorted(found, key=lambda finding: finding.severity != 'error')

    @property
    def total(self) -> str:
        """The number of findings, such as '1 error, no warnings'."""
        found = [finding.severity for finding in self.all_findings]
        counts = [(found.count(kind), kind) for kind in ('error', 'warning')]
        parts = [f'{n or "no"} {kind}{"s" * (n != 1)}' for n, kind in counts]
        return ', '.join(parts)

    def name_of(self, data: CheckedDataset) -> str:
        """Return the split of a dataset; its path if others have this split.

        Args:
            data (CheckedDataset): The dataset.
        """
        splits = [other.split for other in self.datasets]
        return data.split if splits.count(data.split) == 1 else data.path


def make_report(
    cfg: dict, splits: Sequence[str], workers: int = 2
) -> DataReport:
    """Decode every file of every dataset of a config, and report on them.

    Args:
        cfg (dict): The config.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.
        workers (int): The number of threads. Defaults to 2.
    """
    datasets, findings = open_datasets(cfg, splits)
    different = [data for data in datasets if not data.same_as]
    work = []
    for data in different:
        places = data.places(range(len(data.samples)))
        work += [(data, place) for place in places]
    with ThreadPool(workers) as pool:
        done = pool.imap(lambda each: each[0].decode(each[1]), work, 16)
        for _ in track(done, 'reading files', len(work)):
            pass
    for data in different:
        data.findings = find_in(data, datasets)
    return DataReport(datasets, [*findings, *find_leaks(datasets)])


def summarize(data: CheckedDataset) -> dict:
    """Return numbers and findings of a dataset, as the JSON has them.

    Args:
        data (CheckedDataset): The dataset.

    Returns:
        dict: ``split``, ``path``, ``same_as`` and ``classes``, see
        :class:`.CheckedDataset`; ``num_samples``, how many it lists;
        ``images_per_class`` or, for segmentation, ``pixels_per_class``, also
        of classes without any; ``label_values``, those of loaded pixels to
        their number; ``sizes``, width and height of the images that are
        'smallest', 'median' and 'largest' by area; ``formats``, to the number
        of images; and ``findings``. All but the first three and
        ``num_samples`` are empty if an earlier dataset has the same files.
    """
    own = data
    if data.same_as:
        own = replace(data, classes=(), images=[], labels=[], findings=())
    classes, counts = own.classes, {}
    for k, number in own.class_counts.items() if own.images else ():
        # Two classes of ImageNet are called 'crane'.
        twin = classes.count(classes[k]) > 1
        counts[f'{classes[k]} ({k})' if twin else classes[k]] = number
    sizes = [record.loaded_size for record in own.images]
    sizes = sorted(filter(None, sizes), key=math.prod)
    chosen = {'smallest': 0, 'median': len(sizes) // 2, 'largest': -1}
    return dict(
        split=data.split,
        path=data.path,
        num_samples=len(data.dataset),
        same_as=data.same_as,
        classes=classes,
        images_per_class={} if own.labels else counts,
        pixels_per_class=counts if own.labels else {},
        label_values=dict(sorted(own.counts.items())) if own.labels else {},
        sizes={name: sizes[i] for name, i in chosen.items() if sizes},
        formats=dict(Counter(r.format for r in own.images if r.format)),
        findings=[asdict(finding) for finding in own.findings],
    )
