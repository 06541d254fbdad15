"""Arguments that several commands share, and values of ``--cfg-options``."""

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mmdavpt.errors import UsageError
from mmdavpt.shipped import locate_config


def parse_arguments(
    add_arguments: Callable[[argparse.ArgumentParser], None],
    argv: Sequence[str] | None = None,
) -> argparse.Namespace:
    """Parse the arguments of a command.

    Args:
        add_arguments (Callable): Adds the arguments to a parser. The
            docstring of its module describes the command.
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.

    Returns:
        argparse.Namespace: The values, and ``argv`` as ``command``.
    """
    parser = argparse.ArgumentParser(
        description=inspect.getmodule(add_arguments).__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    argv = sys.argv[1:] if argv is None else [*argv]
    args = parser.parse_args(argv, argparse.Namespace(command=argv))
    if hasattr(args, 'cfg_options'):
        args.cfg_options = dict(args.cfg_options or {})
    return args


def existing_path(path: str) -> str:
    """Return a path that exists; the ``type`` of an argument.

    Args:
        path (str): The path as typed.
    """
    if not Path(path).expanduser().exists():
        raise argparse.ArgumentTypeError(f'{path} does not exist')
    return path


def add_config_arguments(
    parser: argparse.ArgumentParser, text: str = 'path of the config'
) -> None:
    """Add a config and what changes its values."""
    parser.add_argument('config', type=locate_config, help=text)
    add_shared(parser, '--cfg-options')


def add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings of a training from a folder."""
    group = parser.add_argument_group(
        'settings for a folder',
        'They go to the top of the config that is written to the work '
        'folder; change them there to train from the config.',
    )
    add_shared(group, *(f'--{name}' for name in FOLDER))


def check_folder_arguments(args: argparse.Namespace) -> None:
    """Check that settings for a folder are not given with a config.

    Args:
        args (argparse.Namespace): With those of :func:`add_folder_arguments`.

    Raises:
        UsageError: If they are.
    """
    for name in FOLDER:
        if getattr(args, name) is not None:
            raise UsageError(
                f'--{name} is for a folder of images, but {args.config} is a '
                'config; change its settings, or use --cfg-options KEY=VALUE'
            )


def positive(text: str) -> int:
    """Parse a positive whole number.

    Args:
        text (str): The number as typed.

    Raises:
        ValueError: If it is none.
    """
    if int(text) < 1:
        raise ValueError
    return int(text)


def add_shared(parser: argparse._ActionsContainer, *names: str) -> None:
    """Add arguments of :data:`HELP`.

    Args:
        parser (argparse._ActionsContainer): A parser, or a group of one.
        *names (str): Their names.
    """
    for name in names:
        options = OPTIONS.get(name, {})
        parser.add_argument(name, help=HELP[name], **options)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a training or a test, except those of its config.

    ``--work-dir`` overrides ``--cfg-options``, which override the config.
    """
    add_shared(parser, '--work-dir', '--launcher', '--verbose')
    # torch.distributed.launch passes the form with the hyphen.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def key_and_value(text: str) -> tuple[str, object]:
    """Parse ``KEY=VALUE``; the ``type`` of ``--cfg-options``.

    Args:
        text (str): The option as typed.
    """
    key, equals, value = text.partition('=')
    if not (key and equals):
        raise argparse.ArgumentTypeError(f'takes KEY=VALUE, but got {text!r}')
    try:
        return key, parse_value(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f'{key}: {error}') from None


def parse_value(text: str) -> object:
    """Parse the value of an option.

    Python literals and ``dict(key=value)`` are read as Python does. Texts
    need no quotes, also inside ``[a, b]`` and ``(a, b)``, and keep their
    spaces; numbers may have leading zeros; ``true`` and ``false`` are
    booleans. ``a,b`` is a list, but a comma before a space is part of a text
    unless brackets surround it.

    Args:
        text (str): The value as typed.

    Raises:
        ValueError: If brackets or quotes do not match, or a dict is not a
            literal.
    """
    text = text.strip()
    bracketed = text.startswith(('[', '(', '{', 'dict('))
    forms = [text]
    if bracketed or not re.search(r',\s', text):
        forms.append(_ELEMENT.sub(_quote, text))
    for form in forms if text else ():
        with suppress(SyntaxError, TypeError, ValueError, RecursionError):
            tree = _Literal().visit(ast.parse(f'[{form}]', '', 'eval'))
            items = ast.literal_eval(tree)
            # Without a comma at the top there is one item, not a list.
            if isinstance(items, list):
                single = len(items) == 1 and text[-1] != ','
                return items[0] if single else items
    if bracketed:
        raise ValueError(
            f'{text} is not a Python literal or a list; check its brackets, '
            'and quote the texts in it'
        )
    return text


#: A quoted text, or an unquoted one, perhaps with parentheses in it.
_ELEMENT = re.compile(
    r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?=\s*(?:[])},]|$))"""
    r"""|[^][(){},]+(?:\([^()]*\)[^][(){},]*)*"""
)


def _quote(element: re.Match) -> str:
    """Return an element of a list as a Python literal."""
    text = element[0].strip()
    if element[1] or not text or text.startswith('dict('):
        return text
    for read in (ast.literal_eval, int, float):
        with suppress(SyntaxError, ValueError):
            return repr(read(text)).replace('inf', '1e999')
    return repr({'true': True, 'false': False}.get(text.lower(), text))


class _Literal(ast.NodeTransformer):
    """Turn ``dict(key=value)`` into a literal; refuse sets."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if getattr(node.func, 'id', None) != 'dict' or node.args:
            return node
        keys = [k.arg and ast.Constant(k.arg) for k in node.keywords]
        return ast.Dict(keys, [keyword.value for keyword in node.keywords])

    def visit_Set(self, node: ast.Set) -> None:
        raise ValueError


#: Settings for a folder.
FOLDER = ('task', 'arch', 'weights', 'method', 'epochs', 'size', 'batch')
#: Arguments that several commands share.
HELP = {
    '--task': 'by default segmentation if there are folders of images and of '
    'labels, else classification with one folder for each class',
    '--arch': 'ViT-S, ViT-B or ViT-L; by default that of the weights, or b',
    '--weights': 'pre-trained weights of a ViT (docs/weights.md); by default '
    'DINOv2 from timm',
    '--method': 'davpt, davpt-plus, vpt, linear, mp, mp-plus, full, bias, '
    'lora, adaptformer, or a type of tuner such as SSF (docs/tuners.md); by '
    'default davpt; mp and mp-plus classify only',
    '--epochs': 'by default 100',
    '--size': 'side of the images (224) or crops (448) in pixels',
    '--batch': 'images of each GPU, by default 32 or 8',
    '--cfg-options': 'override values of the config by dotted keys, such as '
    'model.backbone.num_prompts=10; a value is a Python literal, dict(...), '
    'a text, or a list as [a,b] or a,b',
    '--protocol': 'which images train and which choose the epoch, if the '
    'config has `protocols`: tune, retrain or released (configs/README.md)',
    '--work-dir': 'folder of logs and checkpoints; by default '
    './work_dirs/CONFIG, or CONFIG_PROTOCOL with --protocol',
    '--launcher': 'the launcher of this process; dist_*.sh and slurm_*.sh '
    'set it',
    '--no-check': 'skip the checks of config and data before the run',
    '--verbose': 'show on the terminal all that libraries log and print',
}
#: What else defines them.
OPTIONS = {
    '--task': dict(choices=('classification', 'segmentation')),
    '--arch': dict(type=parse_value, metavar='s|b|l'),
    '--weights': dict(metavar='FILE|timm://NAME'),
    **dict.fromkeys(('--epochs', '--size', '--batch'), dict(type=positive)),
    '--cfg-options': dict(nargs='+', type=key_and_value, action='extend')
    | dict(metavar='KEY=VALUE'),
    '--protocol': dict(metavar='NAME'),
    '--launcher': dict(choices=('none', 'pytorch', 'slurm', 'mpi')),
    **dict.fromkeys(('--no-check', '--verbose'), dict(action='store_true')),
}
