"""The ``mmdavpt`` command: ``mmdavpt train CONFIG``, ``mmdavpt test ...``.

A command is a module of this folder with ``add_arguments(parser)`` and
``main(argv)``; the first line of its docstring is its help. Modules of
commands import libraries inside their functions only, so that help and
mistyped arguments take no time.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from mmdavpt import __version__
from mmdavpt.errors import did_you_mean


def find_commands() -> dict[str, str]:
    """Return the name and the help of each command, without importing it."""
    found = {}
    for path in sorted(Path(__file__).parent.glob('*.py')):
        text = path.read_text(encoding='utf-8')
        if '\ndef add_arguments(' in text:
            found[path.stem.replace('_', '-')] = text.splitlines()[0][3:]
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
    if name in commands:
        sys.argv[0] = f'mmdavpt {name}'  # the program in usage and errors
        module = import_module(f'mmdavpt.cli.{name.replace("-", "_")}')
        return module.main(rest)
    if name == '--version':
        print(__version__)
        return None
    if name in ('-h', '--help'):
        print('usage: mmdavpt COMMAND [arguments]\n')
        for command, text in commands.items():
            print(f'  {command:<12}{text}')
        print('\n`mmdavpt COMMAND --help` lists the arguments of a command.')
        return None
    sys.stderr.write(
        f'mmdavpt: error: unknown command {name!r}; choose one of '
        f'{", ".join(commands)}{did_you_mean(name, commands)}\n'
    )
    return 2


if __name__ == '__main__':
    raise SystemExit(main())
