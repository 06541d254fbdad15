"""Strip a checkpoint to its weights, in half precision.

``python tools/model_converters/publish.py CHECKPOINT OUT``: what resuming
needs (optimizer, schedules, logs) goes, and floats become float16, to which
loading casts back. ``--fold-bias`` folds the q, k and v deltas of DA-VPT+ into
the frozen weights, exactly; the config then needs ``backbone.bias=()``.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmdavpt import __version__  # noqa: E402
from mmdavpt.checkpoints import (  # noqa: E402
    read_run_checkpoint,
    save_checkpoint,
)
from mmdavpt.checkpoints.tuned import FINGERPRINT  # noqa: E402
from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402
from mmdavpt.models.export import fold_bias_delta  # noqa: E402


def publish(checkpoint: dict, fold_bias: bool = False) -> dict:
    """Return what is published of a checkpoint.

    Args:
        checkpoint (dict): A checkpoint of a Runner.
        fold_bias (bool): Whether to fold the deltas of DA-VPT+ away.
            Defaults to False.

    Returns:
        dict: ``state_dict`` in half precision, and ``meta`` with the
        iterations, the classes and this package's version.

    Raises:
        UsageError: If weights to fold into are not in the checkpoint.
    """
    meta = checkpoint.get('meta', {})
    weights = checkpoint['state_dict']
    if fold_bias and FINGERPRINT in weights:
        raise UsageError(
            '--fold-bias changes frozen weights, which this checkpoint goes '
            'without; write a whole one first, by '
            'tools/model_converters/convert_checkpoint.py'
        )
    if fold_bias:
        weights = fold_bias_delta(weights)
    return dict(
        state_dict={
            name: value.half() if value.is_floating_point() else value
            for name, value in weights.items()
        },
        meta=dict(
            iter=meta.get('iter'),
            classes=list(meta.get('dataset_meta', {}).get('classes', [])),
            mmdavpt_version=__version__,
        ),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Publish the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help='a checkpoint of a Runner')
    parser.add_argument('out', help='the file to write')
    parser.add_argument(
        '--fold-bias',
        action='store_true',
        help='fold the deltas of DA-VPT+ into the weights',
    )
    args = parser.parse_args(argv)
    with cli.exit_with_sentence(FileNotFoundError):
        checkpoint = read_run_checkpoint(args.checkpoint)
        if 'state_dict' not in checkpoint:
            raise UsageError(
                f'{args.checkpoint} should be a checkpoint of a Runner, with '
                "a 'state_dict', but has none"
            )
        published = publish(checkpoint, args.fold_bias)
        save_checkpoint(published, args.out)
    size = Path(args.out).stat().st_size / 1e6
    print(f'{args.out}: {size:.1f} MB')


if __name__ == '__main__':
    main()
