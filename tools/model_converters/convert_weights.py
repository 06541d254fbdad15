"""Convert pre-trained weights of any family to MMPretrain's names.

``python tools/model_converters/convert_weights.py SOURCE OUT.safetensors``
serves other programs, checkpoints with pickled objects, and copies without
heads. Configs can load SOURCE directly. Nothing is resized.
"""

import argparse
import json
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
        'source', help='file, URL, timm://NAME or hf://OWNER/REPO/FILE'
    )
    parser.add_argument('out', type=Path, help='output file, .safetensors')
    parser.add_argument('--prefix', help="prefix of the backbone's keys")
    parser.add_argument(
        '--allow-pickle',
        action='store_true',
        help='unpickle Python objects, which executes code in the file',
    )


if __name__ == '__main__':
    options.parse_arguments(add_arguments)  # answer before slow imports

from safetensors.torch import save_file  # noqa: E402

from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.errors import UsageError, first_few  # noqa: E402
from mmdavpt.models.pretrained import (  # noqa: E402
    read_checkpoint,
    to_mmpretrain,
)


def convert(
    source: str,
    out: Path,
    prefix: str | None = None,
    allow_pickle: bool = False,
) -> str:
    """Convert a checkpoint and return one line about it.

    Args:
        source (str): See :func:`mmdavpt.models.pretrained.read_checkpoint`.
        out (Path): The output file, ``.safetensors``. Its metadata hold the
            declared image normalization.
        prefix (str, optional): Prefix of the backbone's keys.
            Defaults to None: find it.
        allow_pickle (bool): Whether to unpickle Python objects.
            Defaults to False.

    Raises:
        UsageError: If the source cannot be read or has parts that MMPretrain's
            ViT lacks, or ``out`` has another suffix.
    """
    if out.suffix != '.safetensors':
        raise UsageError(f'OUT should end in .safetensors, but got {out}')
    read = read_checkpoint(source, allow_pickle)
    named = to_mmpretrain(read.weights, prefix)
    if named.surplus:
        raise UsageError(
            f"MMPretrain's VisionTransformer lacks parts of {source}: "
            f'{first_few(named.surplus)}'
        )
    normalization = read.normalization or named.family.normalization
    note = dict(format='pt', source=source, family=named.family.name)
    if normalization:
        note['mean'] = json.dumps(normalization.mean)
        note['std'] = json.dumps(normalization.std)
    weights = {key: v.contiguous() for key, v in named.weights.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix('.tmp')
    save_file(weights, temporary, note)
    temporary.replace(out)
    return (
        f'{out}: {len(weights)} weights of {named.family.name}; skipped '
        f'{len(named.left_out)} keys'
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Convert the checkpoint on the command line."""
    args = options.parse_arguments(add_arguments, argv)
    with exit_with_sentence(FileNotFoundError):
        print(convert(args.source, args.out, args.prefix, args.allow_pickle))


if __name__ == '__main__':
    main()
