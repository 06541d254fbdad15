"""Strip a checkpoint to its weights in half precision.

``python tools/model_converters/publish.py CHECKPOINT OUT`` drops the state for
resuming (optimizer, schedules, logs) and converts floats to float16; loading
converts them back. ``--fold CONFIG`` folds the tuners and bias shifts of the
run's config into the frozen weights; the published weights are for the config
with ``model.backbone.tuners=()`` and ``model.backbone.bias=()``.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmdavpt.cli import options  # noqa: E402


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this tool."""
    parser.add_argument(
        'checkpoint',
        type=options.existing_path,
        help='a checkpoint of a Runner',
    )
    parser.add_argument('out', help='output file')
    parser.add_argument(
        '--fold',
        metavar='CONFIG',
        type=options.existing_path,
        help='config of the run, to fold its tuners into the frozen weights',
    )


if __name__ == '__main__':
    options.parse_arguments(add_arguments)  # answer before slow imports

from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from mmdavpt import __version__  # noqa: E402
from mmdavpt.checkpoints import (  # noqa: E402
    read_run_checkpoint,
    save_checkpoint,
)
from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402
from mmdavpt.models.export import fold_tuners  # noqa: E402
from mmdavpt.registry import MODELS  # noqa: E402


def publish(checkpoint: dict, fold: Config | None = None) -> dict:
    """Return the checkpoint to publish.

    Args:
        checkpoint (dict): A checkpoint of a Runner.
        fold (Config, optional): Config of the run, to fold its tuners into
            the frozen weights. Defaults to None: keep them.

    Returns:
        dict: ``state_dict`` in half precision, and ``meta`` with the
        iterations, the ``dataset_meta`` that inferencers read the class
        names from, and this package's version.

    Raises:
        UsageError: If there are no tuners to fold, or one cannot be folded.
    """
    meta = checkpoint.get('meta', {})
    weights = checkpoint['state_dict']
    if fold is not None:
        init_default_scope(fold.get('default_scope', 'mmpretrain'))
        model = MODELS.build(fold.model)
        model.load_state_dict(weights)
        weights = fold_tuners(model)
    return dict(
        state_dict={
            # bfloat16 is as small, and has numbers that float16 lacks.
            name: value.half()
            if value.is_floating_point() and value.element_size() > 2
            else value
            for name, value in weights.items()
        },
        meta=dict(
            iter=meta.get('iter'),
            dataset_meta=meta.get('dataset_meta') or {},
            mmdavpt_version=__version__,
        ),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Publish the checkpoint on the command line."""
    args = options.parse_arguments(add_arguments, argv)
    with exit_with_sentence(FileNotFoundError):
        checkpoint = read_run_checkpoint(args.checkpoint)
        if 'state_dict' not in checkpoint:
            raise UsageError(
                f'{args.checkpoint} should be a checkpoint of a Runner, with '
                "a 'state_dict', but has none"
            )
        fold = args.fold and cli.load_config(args.fold)
        published = publish(checkpoint, fold)
        save_checkpoint(published, args.out)
    size = Path(args.out).stat().st_size / 1e6
    print(f'{args.out}: {size:.2f} MB')


if __name__ == '__main__':
    main()
