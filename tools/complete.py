"""Complete commands and their options in bash and zsh.

    complete -o default -C 'mmdavpt complete' mmdavpt

in ~/.bashrc, or in ~/.zshrc after `autoload -U bashcompinit && bashcompinit`,
completes names of commands and options, else paths.
"""

import argparse
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmdavpt.cli.__main__ import HERE, find_commands  # noqa: E402


def complete(line: str, word: str) -> list[str]:
    """Return what a word may become.

    Args:
        line (str): The command line up to the cursor, as typed.
        word (str): Its last word; '' after a space.
    """
    commands, words = find_commands(), line.split()
    names, command = [], commands.get(''.join(words[1:2]))
    if words[1:] in ([], [word]):
        names = [*commands]
    elif command is not None and command.parent == HERE:
        parser = argparse.ArgumentParser()
        module = import_module(f'mmdavpt.cli.{command.stem}')
        module.add_arguments(parser)
        names = [*parser._option_string_actions] if word else []
    return [name for name in names if name.startswith(word)]


if __name__ == '__main__':
    if '--help' in sys.argv or len(sys.argv) < 3:
        print(__doc__)
    else:  # the shell passes the command, the word and the one before
        line = os.environ.get('COMP_LINE', '')
        end = int(os.environ.get('COMP_POINT', len(line)))
        print('\n'.join(complete(line[:end], sys.argv[2])))
