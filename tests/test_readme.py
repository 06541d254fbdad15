"""The commands in README.md parse, and its links exist."""

import re
import shlex
from importlib import import_module
from pathlib import Path

from mmdavpt.cli.__main__ import find_commands
from mmdavpt.cli.options import parse_arguments

ROOT = Path(__file__).parents[1]


def commands():
    """Return the arguments of each `mmdavpt` command in indented lines."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    lines = re.findall(r'^    mmdavpt (.*)$', text, re.M)
    return [shlex.split(line, comments=True) for line in lines]


def test_commands_parse():
    found = commands()
    assert {'train', 'test'} <= {name for name, *_ in found}
    known = find_commands()
    for name, *argv in found:
        assert name in known
        module = import_module(f'mmdavpt.cli.{name.replace("-", "_")}')
        assert parse_arguments(module.add_arguments, argv)


def test_links_exist_and_nothing_is_left_open():
    for path in [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]:
        text = path.read_text(encoding='utf-8')
        for link in re.findall(r'\]\(([^)#]+)', text):
            if '://' not in link:
                assert (path.parent / link).exists(), (path.name, link)
        assert not re.findall(r'@[A-Z]+@', text)
