"""Read a config file: what is wrong with it becomes a sentence."""

import ast
import os.path as osp
import traceback
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config

from mmdavpt.checks.preflight import check_config_exists
from mmdavpt.errors import UsageError

from .config_keys import runner_keys, walk

#: What running a config file can raise: it is a program.
PROGRAM_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)

#: Variables that inference interfaces read.
READ_ELSEWHERE = {'test_pipeline'}

#: Variables with usual names that are close to those of keys.
USUAL_VARIABLES = {'train_pipeline', 'val_pipeline', 'test_pipeline'}

#: Top-level keys of configs of mmcv 1, which no run reads any more.
OLD_KEYS = {
    'checkpoint_config': 'default_hooks.checkpoint',
    'data': 'train_dataloader and val_dataloader',
    'evaluation': 'val_evaluator and train_cfg.val_interval',
    'log_config': 'default_hooks.logger',
    'lr_config': 'param_scheduler',
    'optimizer': 'optim_wrapper.optimizer',
    'optimizer_config': 'optim_wrapper',
    'runner': 'train_cfg',
    'total_epochs': 'train_cfg.max_epochs',
    'workflow': 'train_cfg',
}


def read_config(path: str) -> Config:
    """Read a config file and what it inherits from.

    Args:
        path (str): Path of the file.

    Returns:
        Config: The merged config.

    Raises:
        UsageError: If the file or one that it inherits from is missing or is
            no Python, if running it fails, or if a name in it changes
            nothing: see :func:`check_names`.
    """
    check_config_exists(path)
    files = dict(_chain(path)) if path.endswith('.py') else {}
    try:
        cfg = Config.fromfile(path)
    except PROGRAM_ERRORS as error:
        raise UsageError(
            f'the config {path} cannot be read: {_reason(error, files)}'
        ) from error
    if files:
        check_names(cfg, files)
    return cfg


def _chain(path: str, child: str = '') -> Iterator[tuple[str, ast.Module]]:
    """Yield a config and all that it inherits from, with their programs."""
    path = osp.normpath(path)
    try:
        with open(path, encoding='utf-8') as file:
            program = ast.parse(file.read(), path)
    except FileNotFoundError:
        raise UsageError(
            f'the config {child} inherits from {path} by its `_base_`, but '
            'there is no such file; paths there are relative to the file '
            'that has them'
        ) from None
    except (SyntaxError, ValueError, OSError, RecursionError) as error:
        raise UsageError(
            f'the config {path} is no Python: {_of_syntax(error)}'
        ) from error
    yield path, program
    for base in _bases(path, program):
        yield from _chain(osp.join(osp.dirname(path), base), path)


def _bases(path: str, program: ast.Module) -> list[str]:
    """Return the local files that a config inherits from."""
    for node in program.body:
        if not isinstance(node, ast.Assign) or '_base_' not in _targets(node):
            continue
        try:
            given = ast.literal_eval(node.value)
        except ValueError:
            given = None
        bases = [given] if isinstance(given, str) else given
        if not isinstance(bases, (list, tuple)) or not all(
            isinstance(base, str) for base in bases
        ):
            raise UsageError(
                f'the config {path} should give `_base_` as a path or a list '
                'of paths in quotes, without variables, but has '
                f'{ast.unparse(node.value)[:80]}'
            )
        # What stands in a package or is filled in is the host's to find.
        return [b for b in bases if '::' not in b and '{{' not in b]
    return []


def _targets(node: ast.Assign) -> list[str]:
    return [t.id for t in node.targets if isinstance(t, ast.Name)]


def _of_syntax(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        line = (error.text or '').strip()
        return f'line {error.lineno}: {error.msg}' + (
            f' in `{line[:80]}`' if line else ''
        )
    return str(error) or type(error).__name__


def _reason(error: Exception, files: dict[str, ast.Module]) -> str:
    """Say what failed, and in which line of which file."""
    if isinstance(error, SyntaxError):
        return _of_syntax(error)
    own = {osp.abspath(file): file for file in files}
    places = [
        f'{own[frame.filename]}, line {frame.lineno}: '
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename in own
    ]
    what = str(error).strip().split('\n')[0]
    kind = type(error).__name__
    return (places[-1] if places else '') + (
        f'{what} ({kind})' if what else kind
    )


def check_names(cfg: Config, files: dict[str, ast.Module]) -> None:
    """Raise if a name at the top of a config file changes nothing.

    Variables are free. What is refused is a misspelt key of runs, a key of
    mmcv 1, and a variable of an inherited file that is set again where
    nothing reads it any more.

    Args:
        cfg (Config): The merged config.
        files (Dict[str, ast.Module]): Path to program, the config itself
            first and then what it inherits from.

    Raises:
        UsageError: If there is such a name.
    """
    known = runner_keys()
    read = set().union(*map(_names_read, files.values()))
    values = cfg.to_dict()
    for name in values:
        if name in known or name in read or _is_used(values, name):
            continue
        near = []
        if name not in USUAL_VARIABLES:
            near = get_close_matches(name, known, n=1, cutoff=0.8)
        if near or (name in OLD_KEYS and not _is_renewed(name, files)):
            mend = near[0] if near else OLD_KEYS[name]
            raise UsageError(
                f'the config sets `{name}`, which no run reads; '
                + (
                    f'did you mean `{mend}`?'
                    if near
                    else f'that of mmcv 1 is now {mend}'
                )
            )
    (leaf, program), *bases = files.items()
    inherited = {name: f for f, tree in bases for name in _names_set(tree)}
    idle = set(_names_set(program)) - known - _names_read(program)
    for name in sorted(idle & set(inherited) & set(values) - READ_ELSEWHERE):
        if not _is_used(values, name):
            raise UsageError(
                f'the config {leaf} sets `{name}`, a variable of '
                f'{inherited[name]}, which has already used it to fill in '
                'other keys, so setting it changes nothing; set those keys'
            )


def _is_renewed(name: str, files: dict[str, ast.Module]) -> bool:
    """Return whether what sets an old key sets the new one beside it.

    Then it is a variable: the dump of a config has those of all files, also
    where a later file has replaced what they were filled in.
    """
    new = {key.split('.')[0] for key in OLD_KEYS[name].split(' and ')}
    return all(
        new & set(names)
        for names in map(_names_set, files.values())
        if name in names
    )


def _names_set(program: ast.Module) -> list[str]:
    """Return the names that the lines of a config file set."""
    return [
        name
        for node in program.body
        if isinstance(node, ast.Assign)
        for name in _targets(node)
    ]


def _names_read(program: ast.Module) -> set[str]:
    """Return what the expressions of a config file read."""
    read = set()
    for node in ast.walk(program):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.add(node.id)
        elif isinstance(node, ast.Attribute):  # `_base_.name`
            read.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # '{{_base_.name}}' is filled in by the host.
            _, found, name = node.value.partition('_base_.')
            read |= {name.strip(' }').split('.')[0]} if found else set()
    return read


def _is_used(values: dict, name: str) -> bool:
    """Return whether a variable's value stands in what runs read.

    So it is in the dump of a config, which has values and no expressions.
    """
    known = runner_keys()
    run = {key: value for key, value in values.items() if key in known}
    return any(
        _same(values[name], other)
        for _, node in walk(run)
        for other in node.values()
    )


def _same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and value == other
