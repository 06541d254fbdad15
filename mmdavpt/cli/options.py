"""Arguments that several commands share, and values of ``--cfg-options``."""

import argparse
import ast
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
#: Types of config values.
_PLAIN = (str, int, float, bool, list, tuple, dict, type(None))


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
    """
    parser = argparse.ArgumentParser(
        description=inspect.getmodule(add_arguments).__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    return parser.parse_args(argv)


def existing_path(path: str) -> str:
    """Return a path that exists; the ``type`` of an argument.

    Args:
        path (str): The path as typed.
    """
    if not Path(path).expanduser().exists():
        raise argparse.ArgumentTypeError(f'{path} does not exist')
    return path


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a config and what changes its values."""
    parser.add_argument('config', help='path of the config')
    add_cfg_options_argument(parser)


def add_cfg_options_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override values of the config by dotted keys, such as '
        'model.backbone.num_prompts=10; a value is a Python literal, '
        'dict(...), a text, or a list as [a,b] or a,b',
    )


def add_protocol_argument(parser: argparse.ArgumentParser) -> None:
    """Add the choice of a protocol."""
    parser.add_argument(
        '--protocol',
        metavar='NAME',
        help='which images train and which choose the epoch, if the config '
        'has `protocols`: tune, retrain or released (configs/README.md)',
    )


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a training or a test, except those of its config.

    ``--work-dir`` overrides ``--cfg-options``, which override the config.
    """
    parser.add_argument(
        '--work-dir',
        help='folder of logs and checkpoints; by default ./work_dirs/CONFIG, '
        'or CONFIG_PROTOCOL with --protocol',
    )
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        help='the launcher of this process; dist_*.sh and slurm_*.sh set it',
    )
    add_verbose_argument(parser)
    # torch.distributed.launch passes the form with the hyphen.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_verbose_argument(parser: argparse.ArgumentParser) -> None:
    """Add the flag that undoes :func:`.quiet_console`."""
    parser.add_argument(
        '--verbose',
        action='store_true',
        help='show on the terminal all that goes to the log file',
    )


class ConfigOptions(argparse.Action):
    """Collect ``KEY=VALUE`` arguments in a dict."""

    def __call__(self, parser, namespace, values, option_string=None):
        """Parse the values and add them to those of earlier flags."""
        options = dict(getattr(namespace, self.dest) or {})
        for argument in values:
            key, equals, text = argument.partition('=')
            if not (key and equals):
                parser.error(
                    f'{option_string} takes KEY=VALUE, but got {argument!r}'
                )
            try:
                options[key] = parse_value(text)
            except ValueError as error:
                parser.error(f'{option_string} {key}: {error}')
        setattr(namespace, self.dest, options)


def parse_value(text: str) -> object:
    """Parse the value of an option.

    Python literals and ``dict(key=value)`` are read as Python does. Anything
    else follows mmengine's rules, except that text keeps its spaces:
    ``[a,b]``, ``(a,b)`` and ``a,b`` are sequences of texts, a number may have
    leading zeros, ``true`` and ``false`` are booleans. A comma before a space
    is part of a text unless brackets surround it.

    Args:
        text (str): The value as typed.

    Raises:
        ValueError: If brackets do not match, or a dict is not a literal.
    """
    text = text.strip()
    try:
        value = ast.literal_eval(
            _DictCalls().visit(ast.parse(text, '', 'eval'))
        )
        if isinstance(value, _PLAIN):
            bare = isinstance(value, tuple) and text[0] != '('
            return list(value) if bare else value
    except (SyntaxError, TypeError, ValueError, RecursionError):
        pass  # not a literal
    if text.startswith(('{', 'dict(')):
        raise ValueError(
            f'{text} is not a Python literal; quote the texts in it'
        )
    group = text[:1] + text[-1:] in ('[]', '()')
    if group and (parts := _split(text[1:-1])) is not None:
        values = [parse_value(part) for part in parts if part.strip()]
        return values if text[0] == '[' else tuple(values)
    parts = _split(text)
    if parts is None and text.startswith(('[', '(')):
        raise ValueError(f'the brackets of {text} do not match')
    parts = parts or [text]
    if len(parts) > 1 and not any(part[:1].isspace() for part in parts[1:]):
        return [parse_value(part) for part in parts if part]
    return _parse_scalar(text)


def _parse_scalar(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {'true': True, 'false': False}.get(text.lower(), text)


class _DictCalls(ast.NodeTransformer):
    """Replace ``dict(key=value)`` by ``{'key': value}``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if getattr(node.func, 'id', None) != 'dict' or node.args:
            return node
        keys = [ast.Constant(keyword.arg) for keyword in node.keywords]
        return ast.Dict(keys, [keyword.value for keyword in node.keywords])


def _split(text: str) -> list[str] | None:
    """Split a text at commas outside brackets and quotes.

    Returns:
        list[str] | None: The parts; None if brackets or quotes do not match.
    """
    parts, depth, quote, before = [''], 0, '', ','
    for letter in text:
        if quote:
            quote = '' if letter == quote else quote
        elif letter in '\'"' and before in '[({,:=':
            quote = letter
        else:
            depth += (letter in '[({') - (letter in '])}')
        if depth < 0:
            return None
        if letter == ',' and not depth and not quote:
            parts.append('')
        else:
            parts[-1] += letter
        before = before if letter.isspace() else letter
    return None if depth or quote else parts
