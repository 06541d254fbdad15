"""Find names in config files and on the command line that change nothing."""

import ast
import copy
import inspect
import traceback
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from mmdavpt.config_source import (
    base_files,
    find_variables,
    load_with_variables,
    names_in,
)
from mmdavpt.errors import UsageError, did_you_mean, prefix_errors, warn
from mmdavpt.shipped import register_configs

from .introspection import keys_read, walk

#: Top-level keys that mmengine's config and launchers, this package and
#: inference interfaces read, but not mmengine's runner.
OTHER_KEYS = {
    *('custom_imports', 'default_scope', 'launcher', 'runner_type'),
    *('load_allowed', 'protocol', 'protocols'),
    *('test_pipeline', 'tta_model', 'tta_pipeline'),
}


def runner_keys() -> set[str]:
    """Return the top-level keys that a run reads."""
    arguments = set(inspect.signature(Runner.__init__).parameters)
    read = keys_read([Runner], r'self\.cfg')
    return arguments - {'self', 'cfg'} | read | OTHER_KEYS


def own_variables(path: str) -> set[str]:
    """Return the variables of a config file that its own expressions read.

    An option that sets one of them takes effect wherever it is read. Keys of
    a run, such as ``model``, are none: their values are merged.

    Args:
        path (str): Path of the file.
    """
    try:
        source = Path(path).read_text(encoding='utf-8')
        names = find_variables(source).keys() & names_in(ast.parse(source))
    except (OSError, SyntaxError, ValueError):  # reported by `read_config`
        return set()
    return names - runner_keys()


def read_config(path: str, changes: Mapping[str, Any] | None = None) -> Config:
    """Read a config file and the files that it inherits from.

    Args:
        path (str): Path of the file.
        changes (Mapping[str, Any], optional): Other values of its
            :func:`own_variables`. Defaults to None.

    Raises:
        UsageError: If it cannot be read, or sets a name that changes nothing.
    """
    register_configs()
    try:
        if changes:
            cfg = load_with_variables(path, changes)
        else:
            cfg = Config.fromfile(path)
    except Exception as error:
        why = _reason(error)
        raise UsageError(f'the config {path} cannot be read: {why}') from error
    if path.endswith('.py'):
        check_variables(path, cfg)
    return cfg


def _reason(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f.lineno for f in frames if f.name == '<module>']
    line = getattr(error, 'lineno', None) or (lines[-1] if lines else None)
    place = f'line {line}: ' if line else ''
    return f'{place}{" ".join(str(error).split())} ({type(error).__name__})'


def check_variables(path: str, cfg: Config) -> None:
    """Raise if a name at the top of a config file changes nothing.

    Only the names of the file itself are checked. If neither a run nor a used
    expression of the file reads a name, removing its assignment does not
    change the merged config, since its bases were evaluated before.

    Args:
        path (str): Path of the file.
        cfg (Config): The merged config.

    Raises:
        UsageError: If there is such a name and a similar key, or a key of the
            same name in a part of the config. Others are warnings. The dump
            of a config has no base, and may have any unused names.
    """
    source = Path(path).read_text(encoding='utf-8')
    tree = ast.parse(source)
    loops = [node.target for node in ast.walk(tree) if hasattr(node, 'iter')]
    counters = set().union(*(names_in(loop, ast.Store) for loop in loops))
    assigned = names_in(tree, ast.Store) - counters
    unused = assigned - names_in(tree) - runner_keys() - {'_base_'}
    inherits = '_base_' in assigned
    inherited = set()
    for base in base_files(path) if unused and inherits else ():
        inherited |= find_variables(base.read_text('utf-8')).keys()
    for name in sorted(unused):
        hint = _hint(name, cfg, cfg.get(name) if inherits else None)
        sentence = f'the config {path} sets `{name}`, which changes nothing'
        if name in inherited:
            copy_base = f'copy the base file and change `{name}` there'
            sentence += ', since its base file is evaluated first'
            nodes = [node for path, node in walk(cfg._cfg_dict) if path]
            if hint:
                hint += f', or {copy_base}'
            elif not any(name in node for node in nodes):
                hint = f'; {copy_base}'
        if hint:
            raise UsageError(sentence + hint)
        if inherits:
            warn(sentence)


def set_option(
    cfg: Config, key: str, value: Any, variables: Iterable[str] = ()
) -> None:
    """Set one key of a config, as ``--cfg-options`` says.

    Args:
        cfg (Config): The config, changed in place.
        key (str): Dotted key; numbers are indices of lists.
        value (Any): The value.
        variables (Iterable[str]): Further names that could be meant, for the
            message. Defaults to ().

    Raises:
        UsageError: If no run reads the key, or if it cannot be set. Unknown
            arguments are reported when the parts are built.
    """
    name, known = key.split('.')[0], runner_keys()
    if name not in known:
        hint = _hint(name, cfg, value)
        hint = hint or did_you_mean(name, {*variables, *known})
        raise UsageError(f'--cfg-options {key}: no run reads `{name}`{hint}')
    with prefix_errors(f'--cfg-options {key}', Exception):
        cfg.merge_from_dict({key: copy.deepcopy(value)})


def _hint(name: str, cfg: Config, value: Any) -> str:
    """Return what to set instead of a name, '' if nothing is similar.

    Args:
        name (str): The name that no run reads.
        cfg (Config): The merged config.
        value (Any): Its value. If keys of that name have other ones, they
            are suggested; None suggests none of them.
    """
    known = runner_keys()
    near = get_close_matches(name, known, n=1, cutoff=0.85)
    # Lists of things have names such as `models`.
    if near and (name != f'{near[0]}s' or name.endswith('ss')):
        return f'; did you mean `{near[0]}`?'
    same = {
        f'{path}.{name}': node[name]
        for path, node in walk(cfg._cfg_dict)
        if path.split('.')[0] in known and name in node
    }
    if value is None or value in same.values() or not same:
        return ''
    return '; set ' + ' or '.join(f'`{path}`' for path in [*same][:3])
