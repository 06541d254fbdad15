"""Draw glyphs in the layout of a dataset that this package reads.

    python tools/dataset_converters/glyphs.py ade20k data/glyph_scenes
    python tools/dataset_converters/glyphs.py pascal_context data/glyphs_voc
    python tools/dataset_converters/glyphs.py vtab1k data/glyphs_vtab
    python tools/dataset_converters/glyphs.py fgvc data/glyphs_cub

They replace the real data without a download: the same reader, class counts
and lists. OUT_DIR is the data_root of the reader. Training and test images
share no font face. A stopped run resumes. `LAYOUT --help` lists the options
of a layout.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


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
    layouts = parser.add_subparsers(
        dest='layout', required=True, metavar='LAYOUT'
    )
    for name, about in (
        ('ade20k', 'scenes with pixel labels, as in ADE20K'),
        ('pascal_context', 'scenes as in VOC2010, with a background class'),
    ):
        layout = layouts.add_parser(name, help=about, description=about)
        _add_common(layout, '.jpg')
        add = layout.add_argument
        add('--train', type=int, default=400, help='training scenes (400)')
        add('--val', type=int, default=100, help='validation scenes (100)')
        add('--height', type=int, default=96, help='in pixels (96)')
        add('--width', type=int, default=96, help='in pixels (96)')
    about = 'single glyphs as a task of VTAB-1k, with its number of classes'
    layout = layouts.add_parser('vtab1k', help=about, description=about)
    _add_common(layout, '.png')
    add = layout.add_argument
    add('--size', type=int, default=48, help='height and width (48)')
    add('--task', default='kitti', help='task of VTAB-1k (kitti)')
    add('--test', type=int, help='test images (as many as the task has)')
    about = 'single glyphs as a fine-grained dataset, with its classes'
    layout = layouts.add_parser('fgvc', help=about, description=about)
    _add_common(layout, '.png')
    add = layout.add_argument
    add('--size', type=int, default=48, help='height and width (48)')
    add('--name', default='cub', help='dataset or an alias (cub)')
    add(
        '--scale',
        type=float,
        default=1.0,
        help='fraction of the published number of images (1.0); at least one '
        'training image of each class',
    )
    for split in ('train', 'val', 'test'):
        add(f'--{split}', type=int, help=f'{split} images, instead of --scale')
    return parser.parse_args(argv)


def _add_common(layout: argparse.ArgumentParser, img_suffix: str) -> None:
    add = layout.add_argument
    add('out_dir', help='output folder, the data_root of the reader')
    add(
        '--seed',
        type=int,
        default=0,
        help='seed of the training images (0); other splits use the next',
    )
    add(
        '--style',
        default='clean',
        help='style of the glyphs: clean, inverted, ... (clean)',
    )
    add(
        '--img-suffix',
        choices=('.jpg', '.png'),
        default=img_suffix,
        help='.jpg: quality 95; .png: lossless, for which readers of scenes '
        f'need img_suffix=".png" (default {img_suffix})',
    )
    add('--workers', type=int, default=0, help='processes (0: this one)')


if __name__ == '__main__':
    parse_args()  # answer before slow imports

from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.datasets.fgvc import set_from  # noqa: E402
from mmdavpt.datasets.vtab1k import task_from  # noqa: E402
from tools.dataset_converters.glyph_writers import (  # noqa: E402
    write_glyphs_fgvc,
    write_glyphs_vtab1k,
    write_scenes_ade20k,
    write_scenes_pascal_context,
)
from tools.dataset_converters.glyph_writers.fgvc import fgvc_sizes  # noqa: E402

#: Layouts of scenes: function that writes them, names of the splits.
SCENES = {
    'ade20k': (write_scenes_ade20k, ('training', 'validation')),
    'pascal_context': (write_scenes_pascal_context, ('train', 'val')),
}


def write_scenes(args: argparse.Namespace) -> str:
    """Write both splits of scenes; return how to read them."""
    write, splits = SCENES[args.layout]
    numbers = zip(splits, (args.train, args.val), strict=True)
    for shift, (split, number) in enumerate(numbers):
        drawn = write(
            args.out_dir,
            split,
            number,
            seed=args.seed + shift,
            size=(args.height, args.width),
            style=args.style,
            img_suffix=args.img_suffix,
            num_workers=args.workers,
        )
        report(split, drawn, number)
    reader = dict(
        ade20k="type='mmdavpt.GlyphADE20KDataset'",
        pascal_context="type='mmseg.PascalContextDataset'",
    )
    return reader[args.layout]


def write_vtab1k(args: argparse.Namespace) -> str:
    """Write all splits of a task of VTAB-1k; return how to read them."""
    task = task_from(args.task)
    drawn = write_glyphs_vtab1k(
        args.out_dir, task.name, args.test, **single_options(args)
    )
    complete = args.test in (None, task.sizes['test'])
    sizes = task.sizes if complete else {**task.sizes, 'test': args.test}
    for split, number in drawn.items():
        report(split, number, sizes[split])
    return f"type='mmdavpt.VTAB1k', task={task.name!r}" + (
        '' if complete else ', check_size=False for the test split'
    )


def write_fgvc(args: argparse.Namespace) -> str:
    """Write all splits of a fine-grained dataset; return how to read them."""
    fgvc_set = set_from(args.name)
    given = {
        split: getattr(args, split)
        for split in fgvc_set.sizes
        if getattr(args, split, None) is not None
    }
    sizes = {**fgvc_sizes(fgvc_set, args.scale), **given}
    drawn = write_glyphs_fgvc(
        args.out_dir, fgvc_set.name, sizes, **single_options(args)
    )
    for split, number in drawn.items():
        report(split, number, sizes[split])
    complete = all(fgvc_set.sizes[split] == sizes[split] for split in sizes)
    return f"type='mmdavpt.FGVC', name={fgvc_set.name!r}" + (
        '' if complete else ', check_size=False'
    )


def single_options(args: argparse.Namespace) -> dict:
    """Return the options of single glyphs from the command line."""
    return dict(
        seed=args.seed,
        size=args.size,
        style=args.style,
        img_suffix=args.img_suffix,
        num_workers=args.workers,
    )


def report(split: str, drawn: int, number: int) -> None:
    """Print how many images of a split were drawn."""
    print(f'{split}: {drawn} images drawn, {number - drawn} existed')


def main(argv: Sequence[str] | None = None) -> None:
    """Write the splits of a layout."""
    args = parse_args(argv)
    write = dict(
        ade20k=write_scenes,
        pascal_context=write_scenes,
        vtab1k=write_vtab1k,
        fgvc=write_fgvc,
    )
    reader = write[args.layout](args)
    print(f'Read them with data_root={args.out_dir!r} and {reader}.')


if __name__ == '__main__':
    with exit_with_sentence(ValueError):
        main()
