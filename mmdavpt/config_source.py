"""Change the top-level variables in the source of a config.

mmengine evaluates a file before a child config or an option could change its
variables, so they are replaced in the source.
"""

import ast
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from pprint import pformat
from typing import TYPE_CHECKING

from .errors import UsageError, did_you_mean, prefix_errors
from .shipped import CONFIGS, locate_config

if TYPE_CHECKING:
    from mmengine.config import Config


#: The recommended configs.
RECOMMENDED = CONFIGS / 'recommended'


def find_variables(source: str) -> dict[str, ast.expr]:
    """Return the variables that a config assigns once, at its top level.

    Args:
        source (str): The source of the config.

    Returns:
        dict[str, ast.expr]: Each name to the expression assigned to it.
    """
    found: dict[str, ast.expr] = {}
    repeated: set[str] = set()
    for node in ast.parse(source).body:
        targets = getattr(node, 'targets', [getattr(node, 'target', None)])
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value:
            if len(targets) == 1 and isinstance(targets[0], ast.Name):
                name = targets[0].id
                repeated |= {name} & found.keys()
                found[name] = node.value
    return {n: value for n, value in found.items() if n not in repeated}


def names_in(program: ast.AST, use: type[ast.AST] = ast.Load) -> set[str]:
    """Return the names that a config, or a part of it, reads or sets.

    Args:
        program (ast.AST): Its syntax tree.
        use (type): ``ast.Load`` or ``ast.Store``. Defaults to ``ast.Load``.
    """
    names = [n for n in ast.walk(program) if isinstance(n, ast.Name)]
    return {node.id for node in names if isinstance(node.ctx, use)}


def base_files(path: str | Path) -> list[Path]:
    """Return the files of this computer that a config inherits from.

    Args:
        path (str | Path): The config file.

    Returns:
        list[Path]: Bases of bases too.
    """
    from mmengine.config import Config

    names = map(locate_config, Config._get_base_files(str(path)))
    bases = [Path(path).parent / name for name in names]
    found = [b for b in bases if b.suffix == '.py' and b.is_file()]
    return [*found, *(b for base in found for b in base_files(base))]


def replace_variables(source: str, variables: Mapping[str, object]) -> str:
    """Return the source of a config with other values of its variables.

    Comments and layout stay.

    Args:
        source (str): The source of the config.
        variables (Mapping[str, object]): Names to values, which are
            literals.

    Raises:
        UsageError: If the config does not set a variable.
    """
    found = find_variables(source)
    for name in variables:
        if name not in found:
            hint = did_you_mean(name, found)
            raise UsageError(f'it sets no variable {name!r}{hint}')
    lines = source.encode().splitlines(keepends=True)  # columns count bytes
    nodes = [(found[name], value) for name, value in variables.items()]
    nodes.sort(key=lambda n: (n[0].lineno, n[0].col_offset), reverse=True)
    for node, new in nodes:
        first, last = node.lineno - 1, (node.end_lineno or 0) - 1
        before = lines[first][: node.col_offset]
        after = lines[last][node.end_col_offset :]
        value = format_literal(new, len(before)).encode()
        lines[first : last + 1] = [before + value + after]
    return b''.join(lines).decode()


def format_literal(value: object, column: int = 0) -> str:
    """Return a literal, over several lines if needed.

    Args:
        value (object): Dicts, lists and plain values.
        column (int): Column at which it starts. Defaults to 0.
    """
    text = pformat(value, width=79 - column, compact=True, sort_dicts=False)
    return text.replace('\n', '\n' + ' ' * column)


def load_with_variables(
    path: str | Path, variables: Mapping[str, object]
) -> 'Config':
    """Load a config as if its top-level variables had other values.

    Args:
        path (str | Path): The config file.
        variables (Mapping[str, object]): Names to values, which are literals.

    Raises:
        UsageError: If the file does not set a variable.
    """
    from mmengine.config import Config

    path = Path(path).resolve()
    source = path.read_text(encoding='utf-8')
    if bases := Config._get_base_files(str(path)):
        absolute = [b if '::' in b else str(path.parent / b) for b in bases]
        variables = {**variables, '_base_': absolute}
    with prefix_errors(path.name, UsageError):
        source = replace_variables(source, variables)
    source = re.sub(r'\{\{\s*fileDirname\s*\}\}', str(path.parent), source)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_text(source, encoding='utf-8')
        cfg = Config.fromfile(copy)
    # mmengine's own way; an attribute of a config would be a key.
    object.__setattr__(cfg, '_filename', str(path))
    return cfg
