"""Write glyph scenes to disk in the layout of ADE20K, at any size.

    python tools/dataset_converters/glyphs2ade20k.py data/glyphs_ade20k

Training scenes and validation scenes share no font face. A stopped run goes
on where it was when it is started again.
"""

import argparse

from mmdavpt.datasets import STYLES, write_scenes_ade20k
from mmdavpt.utils.cli import exit_with_sentence


def parse_args(argv=None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('out_dir', help='folder to write to')
    parser.add_argument(
        '--train', type=int, default=400, help='training scenes (400)'
    )
    parser.add_argument(
        '--val', type=int, default=100, help='validation scenes (100)'
    )
    parser.add_argument(
        '--height', type=int, default=96, help='in pixels (96)'
    )
    parser.add_argument('--width', type=int, default=96, help='in pixels (96)')
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of the training scenes (0); validation takes the next one',
    )
    parser.add_argument(
        '--style',
        choices=sorted(STYLES),
        default='clean',
        help='how the scenes look (clean)',
    )
    parser.add_argument(
        '--img-suffix',
        choices=('.jpg', '.png'),
        default='.jpg',
        help='.jpg: quality 95, what the ADE20K reader expects by default '
        '(default); .png: lossless, needs img_suffix=".png" in the config',
    )
    parser.add_argument(
        '--workers', type=int, default=0, help='processes that draw (0)'
    )
    return parser.parse_args(argv)


def main(argv=None) -> None:
    """Write both splits."""
    args = parse_args(argv)
    for split, number, seed in (
        ('training', args.train, args.seed),
        ('validation', args.val, args.seed + 1),
    ):
        drawn = write_scenes_ade20k(
            args.out_dir,
            split,
            number,
            seed=seed,
            size=(args.height, args.width),
            style=args.style,
            img_suffix=args.img_suffix,
            num_workers=args.workers,
        )
        print(f'{split}: {drawn} scenes drawn, {number - drawn} were there')
    print(
        f'Read them with data_root={args.out_dir!r} and '
        "type='mmdavpt.GlyphADE20KDataset'."
    )


if __name__ == '__main__':
    with exit_with_sentence(ValueError):
        main()
