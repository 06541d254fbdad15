"""Test a model.

    mmdavpt test configs/setr_davpt_ade20k.py CHECKPOINT --tta

is the same as ``python tools/test.py`` with these arguments.
"""

import argparse
import re
from collections.abc import Mapping

from . import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a test."""
    options.add_config_arguments(parser)
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument(
        '--tta',
        action='store_true',
        help="average over the augmentations of the config's tta_pipeline; "
        'for segmentation this is the multi-scale test',
    )
    parser.add_argument(
        '--out',
        help='segmentation: a folder for label maps; classification: a .pkl '
        'file for predictions or a .json file for metrics',
    )
    parser.add_argument('--show-dir', help='folder for pictures')
    options.add_run_arguments(parser)
    options.add_shared(parser, '--no-check')


def run(args: argparse.Namespace) -> None:
    """Test a model, and print the metrics as the last line.

    Args:
        args (argparse.Namespace): The arguments.
    """
    from mmengine.dist import is_main_process
    from mmengine.fileio import dump

    from . import common

    cfg = common.load_config(args.config, args.cfg_options)
    common.apply_command_line(cfg, args)
    with common.run_prepared(cfg, args, training=False) as runner:
        metrics = runner.test()
    if is_main_process():
        if args.out is not None and args.out.endswith('.json'):
            dump(metrics, args.out)
        print(summary_line(metrics, args.tta), flush=True)


def summary_line(metrics: Mapping, tta: bool) -> str:
    """Return the result of a test as one line.

    Args:
        metrics (Mapping): The result of ``Runner.test``.
        tta (bool): Whether the test used test-time augmentation, which makes
            mIoU-MS of mIoU-SS.

    Returns:
        str: Such as 'mIoU-SS 45.10 | mAcc 57.20 | aAcc 80.10', in percent.
        Results with several numbers, such as a confusion matrix, are left
        out.
    """
    import numpy as np

    order = ('mIoU', 'top1', 'top5', 'mAcc', 'aAcc')
    known = {k: v for k, v in metrics.items() if v is not None}
    known = {k.split('/')[-1]: v for k, v in known.items() if np.size(v) == 1}
    found = {key: float(value) for key, value in known.items()}
    names = [n for n in order if n in found] + sorted({*found} - {*order})
    line = ' | '.join(f'{name} {found[name]:.2f}' for name in names)
    line = line.replace('mIoU ', 'mIoU-MS ' if tta else 'mIoU-SS ')
    return re.sub(r'top(\d+)', r'top-\1 (TTA)' if tta else r'top-\1', line)
