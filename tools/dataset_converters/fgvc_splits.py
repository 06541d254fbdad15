"""Make VPT's train, val and test lists of a fine-grained dataset.

    python tools/dataset_converters/fgvc_splits.py cub data/fgvc/CUB_200_2011

reads the original download of CUB-200-2011, NABirds, Oxford Flowers, Stanford
Dogs or Stanford Cars, and writes train.json, val.json and test.json to its
folder. A tenth of the training images, rounded up, is held out for validation,
which gives VPT's sizes; Oxford Flowers has an official validation split. The
same seed gives the same lists on every machine.
"""

import argparse
import os.path as osp
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
    parser.add_argument(
        'name', help='cub, nabirds, flowers, dogs, cars or an alias'
    )
    parser.add_argument(
        'folder',
        type=existing_path,
        help='folder of the unpacked original archives',
    )
    parser.add_argument(
        '--out',
        help='output folder (FOLDER, where the reader finds the images)',
    )
    parser.add_argument(
        '--val',
        metavar='FRACTION',
        help='fraction of the training images to hold out (0.1)',
    )
    parser.add_argument('--seed', type=int, help='seed of the selection (0)')
    parser.add_argument(
        '--no-stratify',
        action='store_true',
        help='draw from all training images at once, instead of the same '
        'share of each class',
    )
    parser.add_argument(
        '--no-check-size',
        action='store_true',
        help='accept numbers of images or classes that differ from the '
        'published ones',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace existing lists',
    )
    return parser.parse_args(argv)


if __name__ == '__main__':
    parse_args()  # answer before slow imports

from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from tools.dataset_converters.fgvc_conversion.writing import (  # noqa: E402
    MANIFEST,
    write_splits,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the lists and print how to read them."""
    args = parse_args(argv)
    manifest = write_splits(
        args.name,
        args.folder,
        args.out,
        check_size=not args.no_check_size,
        overwrite=args.overwrite,
        fraction=args.val,
        seed=args.seed,
        stratified=not args.no_stratify,
    )
    out = args.out or args.folder
    counts = ', '.join(f'{k} {n}' for k, n in manifest['counts'].items())
    print(f'{out}: {counts} images; {MANIFEST} records the rule')
    place = f'data_root={out!r}'
    if osp.realpath(out) != osp.realpath(args.folder):
        place += f', data_prefix={osp.abspath(manifest["image_dir"])!r}'
    if args.no_check_size:
        place += ', check_size=False'
    print(
        f"Read them with type='mmdavpt.FGVC', name={manifest['name']!r}, "
        f'{place}.'
    )


if __name__ == '__main__':
    with exit_with_sentence():
        main()
