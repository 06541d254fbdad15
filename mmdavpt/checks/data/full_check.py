"""The check of all data of a config, by several processes."""

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import track

from mmdavpt.datasets.sample_check import SampleCheck
from mmdavpt.errors import UsageError

from .data_check import check_places, files_key
from .dataset_files import sample_check
from .dataset_places import datasets_of


@dataclass
class DatasetReport:
    """What was found in one dataset of a config.

    Args:
        name (str): 'train', 'val' or 'test'; the dataset's path in the
            config if its split has several.
        images (int): How many images were decoded. Defaults to 0.
        annotations (int): How many annotations were. Defaults to 0.
        sentence (str, optional): What is wrong with the dataset as a whole.
            Defaults to None.
        defects (List[Tuple[str, str]]): Files and what is wrong with them.
        same_as (str, optional): The dataset that has the same files, and was
            checked. Defaults to None.
    """

    name: str
    images: int = 0
    annotations: int = 0
    sentence: str | None = None
    defects: list[tuple[str, str]] = field(default_factory=list)
    same_as: str | None = None

    @property
    def number(self) -> int:
        """How many defects there are; a sentence counts if no file does."""
        return len(self.defects) or int(self.sentence is not None)

    def lines(self) -> list[str]:
        """Return one line for each defect.

        A sentence about the dataset is left out where files are named.
        """
        lines = [f'{file} {defect}' for file, defect in self.defects]
        if not lines and self.sentence is not None:
            lines = [self.sentence]
        return [f'{self.name}: {line}' for line in lines]

    def summary(self) -> str:
        """Return the line of the dataset's numbers."""
        if self.same_as is not None:
            return f'{self.name}: the files of {self.same_as}'
        found = 'no defect'
        if self.number:
            found = f'{self.number} defect{"s" if self.number > 1 else ""}'
        if not self.images:
            return f'{self.name}: no image files to check, {found}'
        counts = f'{self.images} images'
        if self.annotations:
            counts += f' and {self.annotations} annotations'
        return f'{self.name}: {counts}, {found}'


def check_all(
    cfg: dict, splits: Sequence[str], workers: int = 0
) -> list[DatasetReport]:
    """Decode every image and annotation of a config's datasets.

    Args:
        cfg (dict): The config.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'; those that
            the config lacks are passed over.
        workers (int): Processes; 0 works in this one. Defaults to 0.

    Returns:
        List[DatasetReport]: One a dataset, in the order of the splits.
    """
    reports: list[DatasetReport] = []
    checked: list[tuple[DatasetReport, SampleCheck]] = []
    first_of: dict[str, str] = {}
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if loader is None:
            continue
        found = list(
            datasets_of(loader['dataset'], f'{split}_dataloader.dataset')
        )
        for path, dataset in found:
            report = DatasetReport(split if len(found) == 1 else path)
            reports.append(report)
            report.same_as = first_of.get(files_key(dataset))
            if report.same_as is None:
                first_of[files_key(dataset)] = report.name
                check = _prepare(cfg, path, dataset, split == 'train', report)
                if check is not None:
                    checked.append((report, check))
    for number, defects in find_defects([c for _, c in checked], workers):
        checked[number][0].defects += defects
    return reports


def _prepare(
    cfg: dict,
    path: str,
    dataset: dict,
    training: bool,
    report: DatasetReport,
) -> SampleCheck | None:
    """Check a dataset as a whole; return the check of its samples."""
    try:
        check_places(path, dataset, cfg.get('default_scope'), training)
    except UsageError as error:
        report.sentence = str(error)
    try:
        check = sample_check(cfg, path, dataset)
    except UsageError as error:
        report.sentence = report.sentence or str(error)
        return None
    report.images = len(check.samples)
    if check.load_labels is not None:
        report.annotations = sum('seg_map_path' in s for s in check.samples)
    return check


def find_defects(
    checks: Sequence[SampleCheck], workers: int
) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Check all samples, with a bar on stderr that tells the time left.

    Args:
        checks (Sequence[SampleCheck]): Of each dataset.
        workers (int): Processes; 0 works in this one.

    Yields:
        Tuple[int, List[Tuple[str, str]]]: The number of the check, and the
        files and defects of one sample, in the order of the samples.
    """
    tasks = [
        (number, index)
        for number, check in enumerate(checks)
        for index in range(len(check.samples))
    ]
    if not tasks:
        return
    console = Console(stderr=True)
    look = dict(description='checking', total=len(tasks), console=console)
    if workers == 0:
        for number, index in track(tasks, **look):
            yield number, checks[number].defects(index)
        return
    with multiprocessing.Pool(workers, _keep, (checks,)) as pool:
        yield from track(pool.imap(_defects, tasks, chunksize=16), **look)


# Of a worker process: too large to send with each task.
_CHECKS: Sequence[SampleCheck] = ()


def _keep(checks: Sequence[SampleCheck]) -> None:
    global _CHECKS
    _CHECKS = checks


def _defects(task: tuple[int, int]) -> tuple[int, list[tuple[str, str]]]:
    number, index = task
    return number, _CHECKS[number].defects(index)
