"""Draw samples of a dataset as the model gets them, with guidance labels.

    python tools/browse_dataset.py configs/setr_davpt_ade20k.py

The pictures show what leaves the pipeline, in the colours that reach the
model. For segmentation the annotation lies beside each image; in a guided
model's training set the class drawn for guidance is named and outlined.
"""

import argparse
import os.path as osp
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import DictAction  # noqa: E402

from mmdavpt.checks.data.data_check import check_data  # noqa: E402
from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.visualization.browsing import (  # noqa: E402
    draw_samples,
    ignore_index_of,
    read_samples,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to those of
            this process.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--split',
        choices=('train', 'val', 'test'),
        default='train',
        help='which of its datasets (train)',
    )
    parser.add_argument(
        '--number', type=int, default=16, help='samples to draw (16)'
    )
    parser.add_argument(
        '--each',
        action='store_true',
        help='one picture a sample instead of sheets',
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        help='where the pictures go; by default work_dirs/CONFIG/browse',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='chooses the samples and their augmentation (0)',
    )
    parser.add_argument(
        '--protocol',
        metavar='NAME',
        help='which protocol of the config, where it has `protocols`',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='values that replace those of the config, as KEY=VALUE with a '
        'dotted key, such as train_dataloader.dataset.data_root=data/ade',
    )
    args = parser.parse_args(argv)
    if args.number < 1:
        parser.error(f'--number should be at least 1, but got {args.number}')
    return args


def guidance_remark(samples: Sequence, split: str, guidance) -> str:
    """Say how the samples guide the prompts."""
    if split != 'train':
        return ''
    if guidance is not None and guidance.get('labels') == 'present':
        return '; all classes that are present guide'
    if samples[0].guidance_label is None:
        return '; the model is not guided'
    if samples[0].annotation is None:
        return '; each image is guided by its class'
    return '; outlined: the class drawn for guidance'


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the samples that the command line asks for.

    Args:
        argv (Sequence[str], optional): The arguments.
    """
    args = parse_args(argv)
    with cli.exit_with_sentence():
        cfg = cli.load_config(args.config, args.cfg_options, args.protocol)
        check_data(cfg, [args.split])
        samples, metainfo = read_samples(
            cfg, args.split, args.number, args.seed
        )
    with cli.exit_with_sentence(ValueError):
        name = osp.splitext(osp.basename(args.config))[0]
        paths = draw_samples(
            samples,
            metainfo,
            args.out or osp.join('work_dirs', name, 'browse'),
            args.split,
            f'{name}, {args.split}: {len(samples)} samples after the pipeline'
            + guidance_remark(samples, args.split, cfg.model.get('guidance')),
            args.each,
            ignore_index_of(cfg),
        )
    print('\n'.join(paths))


if __name__ == '__main__':
    main()
