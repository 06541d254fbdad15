"""Convert annotations of segmentation tools to images and label maps.

    python tools/dataset_converters/masks.py labelme photos data/cracks
    python tools/dataset_converters/masks.py coco instances.json data/cracks \\
        --images photos
    python tools/dataset_converters/masks.py cvat export data/cracks
    python tools/dataset_converters/masks.py png masks data/cracks \\
        --images photos --map 0=background 255=crack

OUT gets `images/`, `labels/` with 8-bit PNGs whose values are the classes (255
is ignored), and `classes.txt`. Train with
`mmdavpt train --task segmentation OUT`.

All labels become classes, or those of `--classes`; another label is an error.
`--rename 'car-*=car' fog=__ignore__` merges labels, and ignores pixels.
Pixels without a shape are the class of `--background`. `--map` names each
value of masks; without it, CVAT's SRC/labelmap.txt does. `--crowd` says
whether COCO's crowds are ignored, or belong to their class.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402

#: Description of each format and of its source.
FORMATS = {
    'labelme': ("LabelMe's JSON files", 'folder of JSON files, or one'),
    'coco': ('COCO: polygons and run lengths', 'JSON file of instances'),
    'cvat': ('CVAT for images 1.1', 'XML file, or folder of annotations.xml'),
    'png': ('masks of values, palettes or colors', 'folder of masks'),
}


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
    for name, (about, source) in FORMATS.items():
        one = formats.add_parser(name, help=about, description=about)
        add, many = one.add_argument, dict(nargs='+', default=[])
        pairs = dict(many, type=read_pair)
        add('source', metavar='SRC', help=source)
        add('out', metavar='OUT', help='output folder, which must be new')
        add('--images', metavar='FOLDER', help='images (next to SRC)')
        add('--classes', **many, metavar='NAME', help='all classes in order')
        add('--rename', **pairs, metavar='OLD=NEW', help='such as car-*=car')
        if name == 'png':
            one.set_defaults(background='__ignore__')  # of no pixel
            add('--map', **pairs, metavar='VALUE=NAME', help='or R,G,B=NAME')
            add('--suffix', default='', help='ending of masks, such as _mask')
        else:
            add('--background', default='background', help='or __ignore__')
        if name == 'coco':
            add('--crowd', choices=('ignore', 'class'), help='of iscrowd=1')
    return parser.parse_args(argv)


def read_pair(text: str) -> tuple[str, str]:
    """Return the parts of ``OLD=NEW``."""
    old, _, new = text.partition('=')
    if not (old.strip() and new.strip()):
        raise argparse.ArgumentTypeError(f'{text!r} is not like OLD=NEW')
    return old.strip(), new.strip()


def main(argv: Sequence[str] | None = None) -> None:
    """Convert a source and print what was written."""
    args = parse_args(argv)
    # Late, so that --help is fast.
    from tools.dataset_converters.masks_conversion.conversion import convert

    print(convert(args))


if __name__ == '__main__':
    with exit_with_sentence(OSError):
        main()
