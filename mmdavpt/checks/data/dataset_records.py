"""Records of all files of a dataset, which the findings are made of."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmdavpt.datasets.file_record import FileRecord
from mmdavpt.errors import first_few

from .built import BuiltDataset
from .finding import Finding

#: Share of a dataset from which a defect of single samples is an error: a
#: smaller one hardly changes a score, and public benchmarks have some.
NOTICEABLE = 0.01


@dataclass(frozen=True)
class DatasetRecords:
    """What is known of the samples of a dataset.

    Args:
        split (str): 'train', 'val' or 'test'.
        path (str): The path of the dataset in the config.
        classes (tuple[str, ...]): Names of the classes; () if unknown.
        images (list[FileRecord]): A record per sample. Files that were not
            read have records without values.
        labels (list[FileRecord]): The same for label files; empty if none
            are read.
        class_labels (list[tuple[int, ...]]): Classes of each image.
        ignore_index (int): The label of pixels without annotation. Defaults
            to 255.
        label_loader (str): Name of the transform that loads pixel labels.
            Defaults to ''.
        renumbered (bool): Whether the dataset renumbers the loaded values,
            as ``reduce_zero_label`` does. Defaults to False.
        class_folder (str): The folder whose subfolders are the classes.
            Defaults to '': they come from elsewhere.
        crop (tuple[int, int], optional): Width and height of a crop that
            does not enlarge images. Defaults to None.
    """

    split: str
    path: str
    classes: tuple[str, ...]
    images: list[FileRecord]
    labels: list[FileRecord]
    class_labels: list[tuple[int, ...]]
    ignore_index: int = 255
    label_loader: str = ''
    renumbered: bool = False
    class_folder: str = ''
    crop: tuple[int, int] | None = None

    @cached_property
    def decoded(self) -> list[FileRecord]:
        """Records of the images that were decoded."""
        return [r for r in self.images if r.shape]

    @cached_property
    def decoded_labels(self) -> list[FileRecord]:
        """Records of the label files that were decoded."""
        return [r for r in self.labels if r.shape]

    @cached_property
    def values(self) -> Counter:
        """Pixels of each label value, as loaded."""
        return _total(r.values for r in self.decoded_labels)

    @cached_property
    def stored_values(self) -> Counter:
        """Pixels of each label value, as stored."""
        return _total(r.stored_values for r in self.decoded_labels)

    @cached_property
    def class_counts(self) -> dict[int, int]:
        """Images or pixels of each class, also of classes without any."""
        listed = Counter(k for labels in self.class_labels for k in labels)
        counts = self.values if self.labels else listed
        classes = set(range(len(self.classes))) - {self.ignore_index}
        return {k: counts[k] for k in sorted(classes)}

    @property
    def how_many_labels(self) -> str:
        """The number of label files that were decoded, for a sentence."""
        part, whole = len(self.decoded_labels), len(self.labels)
        return f'{part} of ' * (part < whole) + f'{whole} label files'

    def finding(
        self,
        severity: str,
        kind: str,
        sentence: str,
        files: Iterable[FileRecord] = (),
    ) -> Finding:
        """Return a finding of this dataset.

        Args:
            severity (str): 'error' or 'warning'.
            kind (str): Identifier for programs.
            sentence (str): The sentence.
            files (Iterable[FileRecord]): The files concerned.
        """
        paths = tuple(dict.fromkeys(record.path for record in files))
        return Finding(severity, kind, self.split, sentence, paths)


def collect_records(
    built: BuiltDataset, records: Mapping[tuple[str, str], FileRecord]
) -> DatasetRecords:
    """Return the records of a dataset's samples.

    Args:
        built (BuiltDataset): The dataset.
        records (Mapping): Records by path and reader.
    """

    pairs = [built.files(i) for i in range(len(built.samples))]
    images, labels = (
        [records.get(key) or FileRecord(key[0]) for key in keys]
        for keys in zip(*pairs, strict=True)
    ) if pairs else ([], [])
    folders = getattr(built.dataset, 'folder_to_idx', None)
    return DatasetRecords(
        split=built.split,
        path=built.path,
        classes=built.classes,
        images=images,
        labels=labels if any(built.labels) else [],
        class_labels=built.class_labels,
        ignore_index=built.ignore_index,
        label_loader=type(built.load_labels).__name__,
        renumbered=any(built.renumbering),
        class_folder=built.dataset.img_prefix if folders else '',
        crop=_crop(built),
    )


def listed(records: Iterable[FileRecord], noun: str = 'image') -> str:
    """Return the number of different files, and the first few of them.

    Args:
        records (Iterable[FileRecord]): The files.
        noun (str): What they are. Defaults to 'image'.

    Returns:
        str: Such as '12 images (a.jpg, b.jpg, c.jpg and others)'.
    """
    paths = list(dict.fromkeys(record.path for record in records))
    more = ' and others' * (len(paths) > 3)
    plural = 's' * (len(paths) > 1)
    return f'{len(paths)} {noun}{plural} ({", ".join(paths[:3])}{more})'


def severity(part: int, whole: int) -> str:
    """Return 'error' for a noticeable part of a dataset, else 'warning'.

    Args:
        part (int): The number of samples with a defect.
        whole (int): The number of all samples.
    """
    return 'error' if part >= NOTICEABLE * whole else 'warning'


def names_of(classes: Iterable[int], names: tuple[str, ...]) -> str:
    """Return classes with their numbers, such as 'cat (1)'.

    Args:
        classes (Iterable[int]): The classes.
        names (tuple[str, ...]): Names of all classes.
    """
    return first_few(
        [n if (n := names[k]) == str(k) else f'{n} ({k})' for k in classes], 5
    )


def _total(counts: Iterable[Mapping[int, int]]) -> Counter:
    total = Counter()
    for part in counts:
        total.update(part)
    return total


def _crop(built: BuiltDataset) -> tuple[int, int] | None:
    """Return the size of a crop, None if images are resized before it."""
    for transform in built.transforms:
        if 'Resize' in type(transform).__name__:
            return None
        if (size := getattr(transform, 'crop_size', None)) is not None:
            height, width = np.broadcast_to(size, 2).tolist()
            return width, height
    return None
