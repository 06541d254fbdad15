"""A dataset of a config with the records of its files, to check them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset

from mmdavpt.datasets.file_record import FileRecord, read_file, read_header


@dataclass(frozen=True)
class Finding:
    """A defect or an oddity of the data.

    Args:
        severity (str): 'error' if a training or a test would fail or give a
            wrong number, else 'warning'.
        kind (str): Identifier for programs, such as 'class_without_images'.
        split (str): 'train', 'val', 'test', or 'train and val' for what
            concerns both.
        sentence (str): What is wrong, what was expected, and what to do.
        files (tuple[str, ...]): The files concerned, first ones first.
            Defaults to ().
    """

    severity: str
    kind: str
    split: str
    sentence: str
    files: tuple[str, ...] = ()


Records = Iterable[FileRecord]
#: A list of records, and the index of one of them.
Place = tuple[list[FileRecord], int]


@dataclass
class CheckedDataset:
    """A dataset, not a wrapper of others, and the records of its files.

    Args:
        split (str): 'train', 'val' or 'test'.
        path (str): Its path in the config.
        dataset (BaseDataset): The dataset.
        classes (tuple[str, ...]): Names of the classes, or numbers of a head
            if the dataset names none. () if both are unknown.
        ignore_index (int, optional): The label of pixels without annotation;
            None if no pixels have labels.
        samples (list[dict]): The samples that read image files.
        images (list[FileRecord]): A record for each sample, with only a path
            until it is read.
        labels (list[FileRecord]): The same for label files; empty if none
            are loaded.
        same_as (str): The path of an earlier dataset with the same config,
            which has the same records. Defaults to ''.
        findings (Sequence[Finding]): What is wrong with it, errors first.
            Defaults to ().
    """

    split: str
    path: str
    dataset: BaseDataset
    classes: tuple[str, ...]
    ignore_index: int | None
    samples: list[dict]
    images: list[FileRecord]
    labels: list[FileRecord]
    same_as: str = ''
    findings: Sequence[Finding] = ()

    @property
    def load_image(self) -> Callable[[dict], dict | None]:
        """The transform that loads an image."""
        return find_transform(self.dataset, 'LoadImage') or LoadImageFromFile()

    @property
    def load_labels(self) -> Callable[[dict], dict | None] | None:
        """The transform that loads pixel labels; None if none does."""
        return find_transform(self.dataset, 'LoadAnnotations')

    @property
    def renumbers(self) -> bool:
        """True if the dataset changes the loaded label values."""
        keys = ('reduce_zero_label', 'label_map')
        return any(self.samples[0].get(key) for key in keys)

    def places(self, indices: Iterable[int], images: bool = True) -> list:
        """Return the places of the files of some samples.

        Args:
            indices (Iterable[int]): The samples.
            images (bool): Whether to include images, not only labels.
                Defaults to True.
        """
        lists = [self.images] * images + [self.labels] * bool(self.labels)
        found = ((records, i) for i in indices for records in lists)
        return [(records, i) for records, i in found if records[i].path]

    def read_header(self, place: Place) -> None:
        """Read the header of a file.

        Args:
            place (Place): The place of its record.
        """
        records, i = place
        records[i] = read_header(records[i].path)

    def decode(self, place: Place) -> None:
        """Decode a file as the pipeline does, and record what it has.

        Args:
            place (Place): The place of its record.
        """
        records, i = place
        load = self.load_image if records is self.images else self.load_labels
        sample = dict(self.samples[i], seg_fields=[])
        records[i] = read_file(records[i].path, lambda: load(sample))

    @property
    def unit(self) -> str:
        """The unit of labels: 'images' or 'pixels'."""
        return 'pixels' if self.labels else 'images'

    @property
    def complete(self) -> bool:
        """True if all label files were decoded that can be."""
        return all(r.shape or r.defect or r.rejected for r in self.labels)

    @property
    def label_sets(self) -> list[Mapping[int, int] | tuple[int, ...]]:
        """Pixels of each label, or the labels, of each sample."""
        if self.labels:
            return [record.values for record in self.labels]
        labels = [sample.get('gt_label') for sample in self.samples]
        known = [() if label is None else label for label in labels]
        return [tuple(np.atleast_1d(label).tolist()) for label in known]

    @property
    def counts(self) -> Counter:
        """Images or pixels of each label, as loaded."""
        return _total(self.label_sets)

    @property
    def stored_values(self) -> list[int]:
        """The label values in the files, sorted."""
        return sorted(_total(record.stored_values for record in self.labels))

    @property
    def class_counts(self) -> dict[int, int]:
        """Images or pixels of each class, also of classes without any."""
        counts, classes = self.counts, range(len(self.classes))
        return {k: counts[k] for k in classes if k != self.ignore_index}

    def finding(
        self, kind: str, severity: str, sentence: str, files: Records = ()
    ) -> Finding:
        """Return a finding of this dataset.

        Args:
            kind (str): Identifier for programs.
            severity (str): 'error' or 'warning'.
            sentence (str): The sentence.
            files (Records): The files concerned.
        """
        paths = tuple(dict.fromkeys(record.path for record in files))
        return Finding(severity, kind, self.split, sentence, paths)


def checked_dataset(
    split: str, path: str, dataset: BaseDataset, head: Mapping
) -> CheckedDataset:
    """Return a dataset whose files are not read yet.

    It has no samples if they read no files, or read them in another way.

    Args:
        split (str): 'train', 'val' or 'test'.
        path (str): Its path in the config.
        dataset (BaseDataset): The dataset, with one sample or more.
        head (Mapping): The config of the model's last head.
    """
    first = dataset.get_data_info(0)
    on_disk = 'img' not in first and '://' not in first.get('img_path', '://')
    known = find_transform(dataset, 'LoadImage')
    known = known or not find_transform(dataset, 'Load')
    number = len(dataset) if on_disk and known else 0
    samples = [dataset.get_data_info(i) for i in range(number)]
    pixels = find_transform(dataset, 'LoadAnnotations') is not None
    masks = [sample.get('seg_map_path') or '' for sample in samples]
    names = dataset.metainfo.get('classes')
    return CheckedDataset(
        split,
        path,
        dataset,
        tuple(names or map(str, range(head.get('num_classes') or 0))),
        # The 256th class of images is a class like any other.
        head.get('ignore_index', 255) if pixels else None,
        samples,
        [FileRecord(sample['img_path']) for sample in samples],
        [FileRecord(mask) for mask in masks] if pixels and any(masks) else [],
    )


def find_transform(dataset: BaseDataset, name: str) -> object:
    """Return the first transform of a pipeline whose class is so named.

    Args:
        dataset (BaseDataset): The dataset.
        name (str): What the name of the class, or of a parent, begins with.
    """
    for transform in dataset.pipeline.transforms:
        kinds = [kind.__name__ for kind in type(transform).__mro__]
        if any(kind.startswith(name) for kind in kinds):
            return transform
    return None


def listed(records: Records, noun: str = 'image') -> str:
    """Return the number of different files, and the first few of them.

    Args:
        records (Records): The files.
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


def _total(sets: Iterable[Mapping[int, int] | tuple[int, ...]]) -> Counter:
    total = Counter()
    for labels in sets:
        total.update(labels)
    return total
