"""Write a task of VTAB-1k in the layout that mmdavpt.VTAB1k reads.

    python tools/dataset_converters/vtab1k.py --list
    python tools/dataset_converters/vtab1k.py cifar downloads/cifar-100-python
    python tools/dataset_converters/vtab1k.py eurosat \\
        ~/tensorflow_datasets/eurosat/rgb/2.0.0 --from tfds
    python tools/dataset_converters/vtab1k.py --verify data/vtab-1k

The source is the original download of the task's dataset, unpacked into one
folder, or the folder of a version that TensorFlow Datasets prepared. Neither
needs TensorFlow. Images are written as lossless PNG. A stopped run resumes.
--verify checks the result, and copies from elsewhere.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from mmdavpt.cli.options import existing_path  # noqa: E402


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('task', nargs='?', help='a task (--list), or an alias')
    add('folder', nargs='?', type=existing_path, help='folder of the download')
    add(
        '--from',
        dest='kind',
        choices=('original', 'tfds'),
        default='original',
        help='kind of FOLDER: the unpacked original download, or a version '
        'prepared by TensorFlow Datasets (original)',
    )
    add(
        '--out',
        default='data/vtab-1k',
        help='output folder of all tasks, the data_root of the reader '
        '(data/vtab-1k)',
    )
    add('--workers', type=int, default=0, help='processes (0: this one)')
    add(
        '--no-check-size',
        action='store_true',
        help='accept numbers of images that differ from the published ones',
    )
    add('--list', action='store_true', help='list the downloads')
    add(
        '--verify',
        type=existing_path,
        metavar='FOLDER',
        help='verify the folder of a task or of all tasks: lists, labels, '
        'images, checksums',
    )
    args = parser.parse_args(argv)
    chosen = [args.list, args.verify is not None, args.folder is not None]
    if sum(chosen) != 1 or (args.task is None) != (args.folder is None):
        parser.error('give TASK and FOLDER, or --list, or --verify FOLDER')
    if args.workers < 0:
        parser.error(f'--workers should be at least 0, but is {args.workers}')
    return args


if __name__ == '__main__':
    parse_args()  # answer before slow imports

from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.datasets.vtab1k import TASKS  # noqa: E402
from tools.dataset_converters.vtab1k_conversion.checking import (  # noqa: E402
    task_defects,
    task_folders,
)
from tools.dataset_converters.vtab1k_conversion.conversion import (  # noqa: E402
    convert,
)
from tools.dataset_converters.vtab1k_conversion.sources import DOWNLOADS  # noqa: E402


def list_downloads() -> None:
    """Print the download of each task."""
    for task in TASKS.values():
        download = DOWNLOADS[task.name]
        print(f'{task.name}: {download.files}\n    from {download.url}')


def verify(args: argparse.Namespace) -> int:
    """Print the defects of a folder and return their number."""
    count = 0
    for folder, task in task_folders(args.verify).items():
        defects = task_defects(
            folder, task, args.workers, not args.no_check_size
        )
        plural = 's' * (len(defects) != 1)
        print(f'{folder}: {len(defects) or "no"} defect{plural}')
        for defect in defects:
            print(f'  {defect}')
        count += len(defects)
    return count


def main(argv: Sequence[str] | None = None) -> None:
    """Convert a task, list downloads, or verify a folder."""
    args = parse_args(argv)
    if args.list:
        list_downloads()
        return
    if args.verify is not None:
        if verify(args):
            raise SystemExit(1)
        return
    task, written = convert(
        args.task,
        args.folder,
        args.out,
        args.kind,
        not args.no_check_size,
        args.workers,
    )
    for split, number in written.items():
        print(f'{split}: {number} images written')
    print(
        f"Read them with type='mmdavpt.VTAB1k', task={task.name!r}, "
        f'data_root={args.out!r}'
        f'{", check_size=False" if args.no_check_size else ""}.'
    )


if __name__ == '__main__':
    with exit_with_sentence(OSError):
        main()
