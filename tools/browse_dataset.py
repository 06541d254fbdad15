"""Draw samples of a dataset as the model gets them, with guidance labels.

    python tools/browse_dataset.py configs/setr_davpt_ade20k.py

The pictures show the output of the pipeline in the colours that reach the
model. For segmentation the annotation is drawn next to each image; in a
guided model's training set the class drawn for guidance is named and
outlined.
"""

import argparse
import os.path as osp
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from mmdavpt.cli import options  # noqa: E402
from mmdavpt.cli.messages import (  # noqa: E402
    check_config_exists,
    exit_with_sentence,
)

#: The most samples on a sheet.
PER_SHEET = 24


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this tool."""
    options.add_config_arguments(parser)
    options.add_shared(parser, '--protocol')
    parser.add_argument(
        '--split',
        choices=('train', 'val', 'test'),
        default='train',
        help='which dataset of the config (train)',
    )
    parser.add_argument(
        '--number', type=int, default=16, help='samples to draw (16)'
    )
    parser.add_argument(
        '--each', action='store_true', help='one picture per sample'
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        help='folder of the pictures; by default work_dirs/CONFIG/browse',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='chooses the samples and their augmentation (0)',
    )


def guidance_remark(samples: Sequence, split: str, guidance) -> str:
    """Describe how the samples guide the prompts."""
    if split != 'train':
        return ''
    if guidance is None:
        return '; the model is not guided'
    if guidance.get('labels') == 'present':
        return '; all present classes guide'
    if samples[0].annotation is None:
        return '; each image is guided by its class'
    return '; outlined: the class drawn for guidance'


def draw_sheets(args: argparse.Namespace) -> list[str]:
    """Draw the samples that the command line names; return the files."""
    from mmdavpt.cli.common import load_config
    from tools.browsing.samples import head_of, read_samples
    from tools.browsing.sheet import samples_figure
    from tools.visualization.figures import save_figure

    cfg = load_config(args.config, args.cfg_options, args.protocol)
    samples, metainfo = read_samples(cfg, args.split, args.number, args.seed)
    name = osp.splitext(osp.basename(args.config))[0]
    remark = guidance_remark(samples, args.split, cfg.model.get('guidance'))
    title = f'{name}, {args.split}: {len(samples)} samples after the pipeline'
    per_sheet = 1 if args.each else PER_SHEET
    paths = []
    for first in range(0, len(samples), per_sheet):
        group = samples[first : first + per_sheet]
        figure = samples_figure(
            group,
            metainfo.get('classes'),
            metainfo.get('palette'),
            title + remark,
            head_of(cfg).get('ignore_index', 255),
            side=4.0 if args.each else 1.9,
        )
        suffix = ''
        if args.each:
            stem = osp.splitext(group[0].name)[0]
            suffix = f'_{group[0].index:06d}' + (f'_{stem}' if stem else '')
        elif len(samples) > per_sheet:
            suffix = f'_{first // per_sheet + 1}'
        folder = args.out or osp.join('work_dirs', name, 'browse')
        paths.append(osp.join(folder, f'{args.split}{suffix}.png'))
        save_figure(figure, paths[-1])
    return paths


def main(argv: Sequence[str] | None = None) -> None:
    """Draw samples and print the files.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.
    """
    args = options.parse_arguments(add_arguments, argv)
    with exit_with_sentence(ValueError, OSError):
        if args.number < 1:
            raise ValueError(f'--number should be at least 1: {args.number}')
        check_config_exists(args.config)
        print('\n'.join(draw_sheets(args)))


if __name__ == '__main__':
    main()
