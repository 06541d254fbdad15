"""The records of a dataset's files, which the findings are made of."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mmdavpt.datasets.file_record import FileRecord
from mmdavpt.datasets.sample_files import Key

from .built import BuiltDataset
from .finding import Finding

#: Share of a dataset from which a defect of single samples is an error: a
#: smaller one hardly changes a score, and public benchmarks have some.
NOTICEABLE = 0.01


@dataclass(frozen=True)
class DatasetRecords:
    """A dataset with the records of its files.

    Args:
        built (BuiltDataset): The dataset.
        images (list[FileRecord]): A record for each sample, without values
            if the file was not read.
        labels (list[FileRecord]): The same for label files; empty if none
            are loaded.
    """

    built: BuiltDataset
    images: list[FileRecord]
    labels: list[FileRecord]

    @cached_property
    def decoded_labels(self) -> list[FileRecord]:
        """Records of the label files that were decoded."""
        return [record for record in self.labels if record.shape]

    @cached_property
    def complete(self) -> bool:
        """Whether all label files were decoded that can be."""
        return all(r.shape or r.defect or r.rejected for r in self.labels)

    @cached_property
    def values(self) -> Counter:
        """Pixels of each label value, as loaded."""
        return _total(record.values for record in self.labels)

    @cached_property
    def stored_values(self) -> Counter:
        """Pixels of each label value, as stored."""
        return _total(record.stored_values for record in self.labels)

    @cached_property
    def class_counts(self) -> dict[int, int]:
        """Images or pixels of each class, also of classes without any."""
        listed = Counter(k for ks in self.built.files.classes for k in ks)
        counts = self.values if self.labels else listed
        classes = range(len(self.built.classes))
        return {k: counts[k] for k in classes if k != self.built.ignore_index}

    def label_of(self, index: int) -> object:
        """Return what marks the label of a sample; falsy if it is not read.

        Args:
            index (int): The sample.
        """
        if self.labels:
            return tuple(sorted(self.labels[index].values.items()))
        return self.built.files.classes[index]

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
        return Finding(severity, kind, self.built.split, sentence, paths)


def collect_records(
    built: BuiltDataset, records: Mapping[Key, FileRecord]
) -> DatasetRecords:
    """Return a dataset with the records of its files.

    Args:
        built (BuiltDataset): The dataset.
        records (Mapping): Records of files, maybe not of all.
    """
    images, labels = (
        [records.get(key) or FileRecord(key[0]) for key in keys]
        for keys in (built.files.images, built.files.labels)
    )
    return DatasetRecords(built, images, labels)


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


def _total(counts: Iterable[Mapping[int, int]]) -> Counter:
    total = Counter()
    for part in counts:
        total.update(part)
    return total
