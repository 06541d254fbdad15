"""Every command in README.md and docs/ parses, and says what data it needs.

Commands are in fenced and indented blocks. The real parser of each command
reads its arguments; nothing is run. Commands of the paper's experiments need
data or machines that a reader may lack, so a comment has to name it, such as
``# needs ADE20K``.
"""

import argparse
import ast
import re
import runpy
import shlex
import textwrap
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmdavpt.cli import options
from mmdavpt.cli.__main__ import find_commands

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
PROGRAMS = 'mmdavpt python make pip source complete torchrun srun'.split()
#: Commands that have no parser of ours.
KNOWN = (
    'source .venv/bin/activate',
    "complete -o default -C 'mmdavpt complete' mmdavpt",
    'pip install -e .',
    'pip wheel --no-deps .',
    'mmdavpt --help',
)
#: Frameworks that blocks import and that are no dependencies.
OPTIONAL = ('accelerate', 'lightning')
#: What only runs with data or machines that not everybody has.
NEEDS = re.compile(
    r'(configs/|mmdavpt::)(setr|fgvc|vtab|dino)|experiments/(fgvc|vtab|dino)'
    r'|downloads/|tensorflow_datasets|data/(fgvc|vtab-1k)|host0|^srun|slurm_'
)


class Parsed(Exception):
    """The arguments of a script are valid."""


def blocks(text):
    """Yield the language and the lines of fenced and indented blocks."""
    language, lines, blank = None, [], True
    for line in [*text.splitlines(), '']:
        fence = re.match(r' *```(\w*)', line)
        if fence and language is None:
            if lines:
                yield '', textwrap.dedent('\n'.join(lines)).splitlines()
            language, lines = fence[1], []
        elif fence:
            yield language, textwrap.dedent('\n'.join(lines)).splitlines()
            language, lines = None, []
        elif language is not None:
            lines.append(line)
        elif line.startswith('    ') and (blank or lines):
            lines.append(line)
        elif lines and line.strip():
            yield '', textwrap.dedent('\n'.join(lines)).splitlines()
            lines = []
        blank = not line.strip()
    if lines:
        yield '', textwrap.dedent('\n'.join(lines)).splitlines()


def split(line):
    """Return the words of a command without variables, None if it is none."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # not a command
        return None
    while words and re.fullmatch(r'[A-Z_]+=\S*', words[0]):
        words.pop(0)
    if words and (words[0] in PROGRAMS or words[0].startswith('tools/')):
        return words
    return None


def commands(text):
    """Return the commands of a page, as printed and as words."""
    found = []
    for language, lines in blocks(text):
        if language not in ('', 'bash'):
            continue
        joined = '\n'.join(lines).replace('\\\n', ' ').splitlines()
        lines = [x for x in joined if x.strip() and not x.startswith('#')]
        words = [split(line) for line in lines]
        if language == 'bash' or any(words):
            assert all(words), [
                line for line, w in zip(lines, words, strict=True) if not w
            ]
            found += zip(lines, words, strict=True)
    return found


@pytest.fixture
def parse(monkeypatch):
    """Return a function that parses the arguments of a command."""
    real = argparse.ArgumentParser.parse_args

    def stop(self, args=None, namespace=None):
        real(self, args, namespace)
        raise Parsed

    def script(path, argv):
        assert path.is_file(), path
        monkeypatch.setattr('sys.argv', [str(path), *argv])
        with monkeypatch.context() as patched:
            patched.syspath_prepend(ROOT)
            patched.syspath_prepend(path.parent)
            patched.setattr(argparse.ArgumentParser, 'parse_args', stop)
            with pytest.raises(Parsed):
                runpy.run_path(str(path), run_name='__main__')

    def command(name, argv):
        path = find_commands()[name]
        if path.suffix == '.sh':
            launcher, tool = path.stem.split('_')
            if launcher == 'slurm':  # PARTITION JOB_NAME CONFIG ...
                assert len(argv) >= 2
                return command(tool, argv[2:])
            gpus = 1 if tool == 'train' else 2
            assert argv[gpus].isdigit()
            return command(tool, argv[:gpus] + argv[gpus + 1 :])
        if path.parent.name == 'cli':
            module = import_module(f'mmdavpt.cli.{path.stem}')
            return options.parse_arguments(module.add_arguments, argv)
        return script(path, argv)

    def any_program(words):
        program, *argv = words
        if program in ('torchrun', 'srun'):
            start = 'mmdavpt.cli' if program == 'torchrun' else 'mmdavpt'
            program, argv = 'mmdavpt', argv[argv.index(start) + 1 :]
        if program == 'mmdavpt':
            return command(argv[0], argv[1:])
        if program == 'python' and argv[0] == '-m':
            if argv[1] == 'pytest':
                assert all((ROOT / path).exists() for path in argv[2:])
                return None
            path = ROOT / argv[1].replace('.', '/')
            return script(path.with_suffix('.py'), argv[2:])
        if program == 'python':
            return script(ROOT / argv[0], argv[1:])
        if program == 'make':
            makefile = (ROOT / 'Makefile').read_text()
            assert re.search(rf'^{argv[-1]}:', makefile, re.M)
            return None
        if program == 'pip':
            extras = re.fullmatch(r'mmdavpt\[([\w,]+)\]', argv[1])[1]
            setup = (ROOT / 'setup.py').read_text().split('extras_require')[1]
            assert all(f"'{extra}': " in setup for extra in extras.split(','))
            return None
        path = Path(program)
        assert path.suffix == '.sh' and (ROOT / path).is_file()
        return command(path.stem, argv)

    monkeypatch.setattr(options, 'existing_path', str)
    monkeypatch.chdir(ROOT)
    return any_program


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_commands_parse(page, parse):
    for line, words in commands(page.read_text(encoding='utf-8')):
        plain, _, comment = line.partition(' #')
        if plain.strip() not in KNOWN:
            try:
                parse(words)
            except (SystemExit, Exception) as error:
                pytest.fail(f'{line}: {error!r}')
        listing = '--list' in words or '--verify' in words
        if NEEDS.search(plain) and not listing:
            assert comment.strip().startswith('needs '), line


def test_the_readme_has_commands_and_is_short():
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    names = {tuple(words[:2]) for _, words in commands(text)}
    assert {('mmdavpt', 'train'), ('mmdavpt', 'test')} <= names
    assert len(text.splitlines()) <= 150


@pytest.mark.parametrize(
    'line',
    [
        'mmdavpt train birds --metod lora',
        'mmdavpt trains birds',
        'python tools/dataset_converters/glyphs.py ade21k out',
        'python tools/no_script.py',
        'python -m pytest tests/test_nothing.py',
        'make nothing',
        'pip install "mmdavpt[nothing]"',
        'tools/dist_train.sh config.py --resume',
        'torchrun -m mmdavpt.cli train CONFIG --launcher nothing',
    ],
)
def test_wrong_commands_are_found(line, parse, capsys):
    [(_, words)] = commands(f'Text:\n\n    {line}\n')
    with pytest.raises((SystemExit, Exception)):
        parse(words)


def test_blocks_of_all_kinds_are_found():
    text = (
        '- Item:\n\n        make a  # needs b\n\n```bash\nA=1 make b\n```\n'
        '\n```python\nmake\n```\n\n    make c \\\n        d\n\n    make e\n'
        '\n    data/\n      a.jpg\n'
    )
    with pytest.raises(AssertionError, match='a.jpg'):
        commands(text)
    found = commands(text.replace('make e\n', 'make e\n\nText\n'))
    assert [words[1:] for _, words in found] == [
        ['a'],
        ['b'],
        ['c', 'd'],
        ['e'],
    ]


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_imports_of_python_blocks_exist(page):
    """Other tests run the blocks that a small model can run."""
    missing = {name for name in OPTIONAL if not find_spec(name)}
    for language, lines in blocks(page.read_text(encoding='utf-8')):
        if language != 'python':
            continue
        for node in ast.walk(ast.parse('\n'.join(lines))):
            if isinstance(node, ast.ImportFrom) and node.module in missing:
                continue
            if isinstance(node, ast.ImportFrom):
                module = import_module(node.module)
                assert all(hasattr(module, a.name) for a in node.names)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    import_module(alias.name)
