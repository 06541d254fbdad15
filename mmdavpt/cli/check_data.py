"""Decode every image and label that a config reads, and report defects.

    mmdavpt check-data configs/setr_davpt_ade20k.py

Each defect is one line: the split, the file and the problem. The
exit status is 1 if there is any. Images are decoded as in training.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from mmdavpt.errors import UsageError

from . import options
from .messages import check_config_exists, exit_with_sentence

if TYPE_CHECKING:
    from mmdavpt.datasets.sample_check import SampleCheck

SPLITS = ('train', 'val', 'test')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    options.add_config_arguments(parser)
    options.add_protocol_argument(parser)
    parser.add_argument(
        '--splits',
        nargs='+',
        choices=SPLITS,
        default=SPLITS,
        help='the datasets to check (all that the config has)',
    )
    parser.add_argument(
        '--workers', type=int, default=2, help='threads that decode (2)'
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Check the data that the command line names.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.

    Returns:
        int: The exit status: 1 if there are defects, else 0.
    """
    args = options.parse_arguments(add_arguments, argv)
    # The report goes to stdout, what libraries print does not.
    with exit_with_sentence(), redirect_stdout(sys.stderr):
        check_config_exists(args.config)
        if args.workers < 1:
            raise UsageError(
                f'--workers should be at least 1, but got {args.workers}'
            )
        from .common import load_config

        cfg = load_config(args.config, args.cfg_options, args.protocol)
        splits = [s for s in args.splits if cfg.get(f'{s}_dataloader')]
        if not splits:
            raise UsageError(
                f'the config has no dataset for {" or ".join(args.splits)}; '
                'choose other splits'
            )
        defects, summary = check_all(cfg, splits, args.workers)
    print('\n'.join([*defects, *summary]))
    return int(bool(defects))


def check_all(
    cfg: dict, splits: Sequence[str], workers: int = 2
) -> tuple[list[str], list[str]]:
    """Decode every image and annotation of a config's datasets.

    Args:
        cfg (dict): The config.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.
        workers (int): The number of threads. Defaults to 2.

    Returns:
        tuple[list[str], list[str]]: One line per defect, and one line per
        dataset, in the order of the splits.
    """
    from mmdavpt.checks.data.built import sample_checks
    from mmdavpt.checks.data.data_check import empty_class_folders

    defects, summary = [], []
    seen: list[tuple[str, list[dict]]] = []
    for split in splits:
        try:
            found = list(sample_checks(cfg, split))
        except UsageError as error:
            defects.append(f'{split}: {error}')
            summary.append(f'{split}: not checked')
            continue
        for path, dataset, check in found:
            name = split if len(found) == 1 else path
            same = [other for other, files in seen if files == check.samples]
            if same and check.samples:
                summary.append(f'{name}: the files of {same[0]}')
                continue
            seen.append((name, check.samples))
            lines = decode_all(check, name, workers)
            if split == 'train' and (empty := empty_class_folders(dataset)):
                lines.append(empty)
            defects += [f'{name}: {line}' for line in lines]
            summary.append(_summary(name, check, len(lines)))
    return defects, summary


def decode_all(check: 'SampleCheck', name: str, workers: int) -> list[str]:
    """Decode the samples of a dataset, with a progress bar on stderr.

    Args:
        check (SampleCheck): The samples.
        name (str): Label of the bar.
        workers (int): The number of threads.

    Returns:
        list[str]: Files and their defects, in order.
    """
    from multiprocessing.pool import ThreadPool

    from rich.console import Console
    from rich.progress import track

    indices = range(len(check.samples))
    with ThreadPool(workers) as pool:
        found = track(
            pool.imap(check.defects, indices, chunksize=16),
            name,
            total=len(indices),
            console=Console(stderr=True),
        )
        return [' '.join(defect) for defects in found for defect in defects]


def _summary(name: str, check: 'SampleCheck', number: int) -> str:
    """Return the line of a dataset's numbers."""
    defects = f'{number or "no"} defect{"s" if number > 1 else ""}'
    images = len(check.samples)
    if not images:
        return f'{name}: no image files to check, {defects}'
    files = sum(len(check.files(i)) for i in range(images))
    annotations = f' and {files - images} annotations' * (files > images)
    return f'{name}: {images} images{annotations}, {defects}'
