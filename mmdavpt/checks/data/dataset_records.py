"""The records of a dataset's files, which the findings are made of."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mmdavpt.datasets.file_record import FileRecord
from mmdavpt.datasets.sample_files import Key, SampleFiles

from .finding import Finding

#: Share of a dataset from which a defect of single samples is an error: a
#: smaller one hardly changes a score, and public benchmarks have some.
NOTICEABLE = 0.01


@dataclass(frozen=True)
class DatasetRecords:
    """A dataset of a config, not a wrapper of others, and its files.

    Args:
        split (str): 'train', 'val' or 'test'.
        path (str): Its path in the config.
        files (SampleFiles): Its files and loaders.
        classes (tuple[str, ...]): Names of the classes, or numbers of a head
            if the dataset names none. () if both are unknown.
        ignore_index (int, optional): The label of pixels without annotation;
            None if no pixels have labels.
        records (Mapping): Records of files, maybe not of all. Defaults to
            {}.
    """

    split: str
    path: str
    files: SampleFiles
    classes: tuple[str, ...]
    ignore_index: int | None
    records: Mapping[Key, FileRecord] = field(default_factory=dict)

    @cached_property
    def images(self) -> list[FileRecord]:
        """A record for each sample, with only a path if it was not read."""
        keys = self.files.images
        return [self.records.get(key) or FileRecord(key[0]) for key in keys]

    @cached_property
    def labels(self) -> list[FileRecord]:
        """The same for label files; empty if none are loaded."""
        keys = self.files.labels
        return [self.records.get(key) or FileRecord(key[0]) for key in keys]

    @property
    def unit(self) -> str:
        """The unit of labels: 'images' or 'pixels'."""
        return 'pixels' if self.labels else 'images'

    @property
    def complete(self) -> bool:
        """True if all label files were decoded that can be."""
        return all(r.shape or r.defect or r.rejected for r in self.labels)

    @cached_property
    def label_sets(self) -> list[Mapping[int, int] | tuple[int, ...]]:
        """Pixels of each label, or the labels, of each sample."""
        return [r.values for r in self.labels] or self.files.classes

    @cached_property
    def counts(self) -> Counter:
        """Images or pixels of each label, as loaded."""
        return _total(self.label_sets)

    @cached_property
    def stored_values(self) -> Counter:
        """Pixels of each label value, as stored."""
        return _total(record.stored_values for record in self.labels)

    @cached_property
    def class_counts(self) -> dict[int, int]:
        """Images or pixels of each class, also of classes without any."""
        return {
            k: self.counts[k]
            for k in range(len(self.classes))
            if k != self.ignore_index
        }

    def finding(
        self,
        kind: str,
        severity: str,
        sentence: str,
        files: Iterable[FileRecord] = (),
    ) -> Finding:
        """Return a finding of this dataset.

        Args:
            kind (str): Identifier for programs.
            severity (str): 'error' or 'warning'.
            sentence (str): The sentence.
            files (Iterable[FileRecord]): The files concerned.
        """
        paths = tuple(dict.fromkeys(record.path for record in files))
        return Finding(severity, kind, self.split, sentence, paths)


def listed(records: Iterable[FileRecord], noun: str = 'image') -> str:
    """Return the number of different files, and the first few of them.

    Args:
        records (Iterable[FileRecord]): The files.
        noun (str): What they are. Defaults to 'image'.

    Returns:
        str: Such as '12 images (a.jpg, b.jpg, c.jpg and others)'.
    """
    paths = list(dict.fromkeys(record.path for record in records))
    more, plural = ' and others' * (len(paths) > 3), 's' * (len(paths) > 1)
    return f'{len(paths)} {noun}{plural} ({", ".join(paths[:3])}{more})'


def and_more(items: list) -> str:
    """Return the number of items after the first, such as ' (2 more)'.

    Args:
        items (list): The items. The text is empty for one.
    """
    return f' ({len(items) - 1} more)' * (len(items) > 1)


def severity_of(part: int, whole: int) -> str:
    """Return 'error' for a noticeable part of a dataset, else 'warning'.

    Args:
        part (int): The number of samples with a defect.
        whole (int): The number of all samples.
    """
    return 'error' if part >= NOTICEABLE * whole else 'warning'


def _total(sets: Iterable[Mapping[int, int] | tuple[int, ...]]) -> Counter:
    total = Counter()
    for labels in sets:
        total.update(labels)
    return total
