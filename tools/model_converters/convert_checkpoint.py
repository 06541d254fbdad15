"""Convert a checkpoint: full or tuned-only, ``.pth`` or ``.safetensors``.

``python tools/model_converters/convert_checkpoint.py CONFIG CHECKPOINT OUT``
writes all weights to OUT, also if CHECKPOINT is tuned-only. With ``--tuned``,
OUT is tuned-only, and loading it needs the config's pre-trained weights. A
``.pth`` file can be resumed if CHECKPOINT can; a ``.safetensors`` file has the
weights and metadata.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmdavpt.cli import options  # noqa: E402

SUFFIXES = ('.pth', '.safetensors')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this tool."""
    options.add_config_arguments(parser)
    parser.add_argument(
        'checkpoint',
        type=options.existing_path,
        help='checkpoint of the run',
    )
    parser.add_argument('out', help=f'output file, {" or ".join(SUFFIXES)}')
    parser.add_argument(
        '--tuned',
        action='store_true',
        help='drop the frozen weights',
    )


if __name__ == '__main__':
    options.parse_arguments(add_arguments)  # answer before slow imports

from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from mmdavpt.checkpoints import (  # noqa: E402
    read_run_checkpoint,
    save_checkpoint,
)
from mmdavpt.checkpoints.fit import check_fit  # noqa: E402
from mmdavpt.checkpoints.tuned import (  # noqa: E402
    STATES,
    check_restorable,  # noqa: E402
    fill_frozen,
    strip_frozen,
    tunable_model,
)
from mmdavpt.cli import common as cli  # noqa: E402
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402
from mmdavpt.registry import MODELS  # noqa: E402


def convert(cfg: Config, source: str, tuned: bool = False) -> dict:
    """Return a full or tuned-only checkpoint.

    Args:
        cfg (Config): Config of the run.
        source (str): A full or tuned-only checkpoint.
        tuned (bool): Whether to drop the frozen weights.
            Defaults to False.

    Raises:
        UsageError: If the checkpoint does not fit the config, or if its
            frozen weights differ from those that the config names.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model = tunable_model(MODELS.build(cfg.model))
    content = read_run_checkpoint(source)
    if not isinstance(content.get('state_dict'), dict):
        raise UsageError(
            f"{source} should be a checkpoint of a run, with a 'state_dict', "
            f'but has {sorted(map(str, content))[:6]}'
        )
    check_fit(model, content['state_dict'], source)
    for key, prefix in STATES.items():
        if key in content:
            fill_frozen(model, content[key], prefix)
    model.load_state_dict(content['state_dict'])
    if tuned:
        check_restorable(model)
        strip_frozen(content, model)
    return content


def main(argv: Sequence[str] | None = None) -> None:
    """Convert the checkpoint on the command line."""
    args = options.parse_arguments(add_arguments, argv)
    with exit_with_sentence():
        if Path(args.out).suffix not in SUFFIXES:
            raise UsageError(
                f'OUT should end in {" or ".join(SUFFIXES)}, but got '
                f'{args.out}'
            )
        cfg = cli.load_config(args.config, args.cfg_options)
        save_checkpoint(convert(cfg, args.checkpoint, args.tuned), args.out)
    size = Path(args.out).stat().st_size / 1e6
    print(f'{args.out}: {size:.2f} MB')


if __name__ == '__main__':
    main()
