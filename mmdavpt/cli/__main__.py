"""The ``mmdavpt`` command: ``mmdavpt train CONFIG``, ``mmdavpt test ...``.

A command is a module of this folder with ``add_arguments(parser)`` and
``run(args)``; the first line of its docstring is its help. Modules of
commands import libraries inside their functions only, so that help and
mistyped arguments take no time. The scripts in ``tools/`` are commands too,
such as ``mmdavpt dataset_converters/masks``.
"""

import os
import re
import runpy
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from mmdavpt import __version__
from mmdavpt.cli.messages import run_command
from mmdavpt.errors import did_you_mean
from mmdavpt.shipped import TOOLS

HERE = Path(__file__).parent


def find_commands() -> dict[str, Path]:
    """Return the file of each command by its name, tools after modules."""
    found = {}
    for path in sorted(HERE.glob('*.py')):
        if '\ndef add_arguments(' in path.read_text(encoding='utf-8'):
            found[path.stem.replace('_', '-')] = path
    for path in sorted(TOOLS.rglob('*.*')):
        name = str(path.relative_to(TOOLS).with_suffix(''))
        if path.match('*_*.sh') or (
            path.suffix == '.py'
            and '\nif __name__ ==' in path.read_text(encoding='utf-8')
        ):
            found.setdefault(name, path)
    return found


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the command that the first argument names.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.

    Returns:
        int | None: The exit status; None is 0.
    """
    name, *rest = (sys.argv[1:] if argv is None else [*argv]) or ['--help']
    commands = find_commands()
    path = commands.get(os.path.splitext(name)[0])
    if path is not None:
        # The first is the program in usage and errors.
        sys.argv = [f'mmdavpt {name}', *rest]
        if path.parent == HERE:
            command = import_module(f'mmdavpt.cli.{path.stem}')
            return run_command(command, rest)
        if path.suffix == '.py':
            runpy.run_path(str(path), run_name='__main__')
            return None
        os.environ.setdefault('PYTHON', sys.executable)  # for the script
        os.execvp('bash', ['bash', str(path), *rest])
    if name == '--version':
        print(__version__)
        return None
    if name in ('-h', '--help'):
        print('usage: mmdavpt COMMAND [arguments]\n')
        for command, path in commands.items():
            width = 38 if '/' in command else 18
            # The first line of a docstring, or of a script's comment.
            text = re.search('^(?:"""|# )(.+)', path.read_text('utf-8'), re.M)
            print(f'  {command:<{width}}{text[1].removesuffix(chr(34) * 3)}')
        print('\n`mmdavpt COMMAND --help` lists the arguments of a command.')
        return None
    sys.stderr.write(
        f'mmdavpt: error: unknown command {name!r}; choose one of '
        f'{", ".join(commands)}{did_you_mean(name, commands)}\n'
    )
    return 2


if __name__ == '__main__':
    raise SystemExit(main())
