"""Convert annotations of segmentation tools to images and label maps.

    python tools/dataset_converters/masks.py labelme photos data/cracks
    python tools/dataset_converters/masks.py coco instances.json data/cracks \\
        --images photos
    python tools/dataset_converters/masks.py cvat export data/cracks
    python tools/dataset_converters/masks.py png masks data/cracks \\
        --images photos --map 0=background 255=crack

OUT gets `images/`, `labels/` with 8-bit PNGs whose values are the classes (255
is ignored), and `classes.txt`. Train with
`mmdavpt train --task segmentation OUT`. `FORMAT --help` lists the options of a
format.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402


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
    formats = parser.add_subparsers(
        dest='format', required=True, metavar='FORMAT'
    )
    for name, source, about in (
        ('labelme', 'folder of JSON files, or one', "LabelMe's JSON files"),
        ('coco', 'JSON file of instances', 'COCO: polygons and run lengths'),
        ('cvat', 'XML file, or folder of annotations.xml', 'CVAT 1.1 XML'),
        ('png', 'folder of masks', 'masks of values, palettes or colors'),
    ):
        add = formats.add_parser(name, help=about, description=about)
        add = add.add_argument
        add('source', metavar='SRC', help=source)
        add('out', metavar='OUT', help='output folder, which must be new')
        add('--images', metavar='FOLDER', help='images (next to SRC)')
        _add_labels(add)
        if name == 'png':
            _add_masks(add)
        else:
            _add_shapes(add, name)
    args = parser.parse_args(argv)
    if args.workers < 0 or getattr(args, 'line_width', 0) < 0:
        parser.error('--workers and --line-width should be at least 0')
    return args


def _add_labels(add) -> None:
    add(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='classes in order (all labels, in the order of the source); '
        'another label is an error',
    )
    add(
        '--ignore',
        nargs='+',
        default=[],
        metavar='NAME',
        help='labels whose pixels are ignored, as those of __ignore__',
    )
    add(
        '--rename',
        nargs='+',
        default=[],
        metavar='OLD=NEW',
        help='rename or merge labels; OLD may hold *, as in "car-*=car"',
    )
    add(
        '--skip-missing',
        action='store_true',
        help='leave out annotations without an image file',
    )
    add('--workers', type=int, default=0, help='processes (0: this one)')


def _add_shapes(add, name: str) -> None:
    add(
        '--background',
        default='background',
        metavar='NAME',
        help='class of pixels without a shape (background); it comes first '
        'unless --classes places it',
    )
    add(
        '--no-background',
        dest='background',
        action='store_const',
        const=None,
        help='ignore pixels without a shape',
    )
    add(
        '--drop',
        nargs='+',
        default=[],
        metavar='NAME',
        help='labels whose shapes are left out',
    )
    add(
        '--drop-empty',
        action='store_true',
        help='leave out images without a shape',
    )
    on_top = 'smallest' if name == 'coco' else 'last'
    add(
        '--on-top',
        choices=('last', 'smallest'),
        default=on_top,
        help=f'which of two overlapping shapes is visible ({on_top})',
    )
    if name == 'coco':
        add(
            '--crowd',
            choices=('ignore', 'class'),
            help='what annotations with iscrowd=1 become',
        )
    else:
        add(
            '--line-width',
            type=int,
            default=0,
            metavar='PIXELS',
            help='draw lines and points this thick (0: leave them out)',
        )


def _add_masks(add) -> None:
    add(
        '--map',
        nargs='+',
        default=[],
        metavar='VALUE=NAME',
        help='classes of the values, such as 255=crack, 128,0,0=cat or '
        '#800000=cat; or a labelmap.txt, a JSON file, or a dataset of '
        'MMSegmentation, such as voc (SRC/labelmap.txt)',
    )
    add(
        '--suffix',
        default='',
        metavar='TEXT',
        help='what the names of masks have after those of images: _mask',
    )


def convert(args: argparse.Namespace) -> str:
    """Convert a source and return the summary."""
    # Late, so that --help is fast.
    from tools.dataset_converters.masks_conversion import conversion

    return conversion.convert(args)


def main(argv: Sequence[str] | None = None) -> None:
    """Convert a source and print what was written."""
    print(convert(parse_args(argv)))


if __name__ == '__main__':
    with exit_with_sentence(OSError):
        main()
