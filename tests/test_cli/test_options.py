"""Values of ``--cfg-options`` and the ``mmdavpt`` command."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmdavpt.cli import __main__ as command
from mmdavpt.cli import options, test, train
from mmdavpt.cli.options import parse_value

CLI = Path(command.__file__).parent


@pytest.mark.parametrize(
    'text, value',
    [
        # Texts keep spaces and commas.
        ('my runs', 'my runs'),
        ('my runs, second try', 'my runs, second try'),
        ('"a,b"', 'a,b'),
        ('runs/[1]', 'runs/[1]'),
        ('photo (1).jpg', 'photo (1).jpg'),
        ('', ''),
        # Sequences.
        ('a,b', ['a', 'b']),
        ('traffic light,car', ['traffic light', 'car']),
        ('[traffic light, car]', ['traffic light', 'car']),
        ('1,2', [1, 2]),
        ('(1,2)', (1, 2)),
        ("[(1,a),['b, c'],[]]", [(1, 'a'), ['b, c'], []]),
        # Dicts, as literals and as calls.
        (
            "[dict(type='LoRA', ranks=(4, 8)), {'type': 'SSF'}]",
            [dict(type='LoRA', ranks=(4, 8)), dict(type='SSF')],
        ),
        ('dict()', {}),
        # Scalars.
        ('1', 1),
        ('007', 7),
        ('1e-3', 1e-3),
        ('None', None),
        ('[true,False]', [True, False]),
        ('{1}', ValueError),
        ('dict(type=LoRA)', ValueError),
        ('[a,b', ValueError),
    ],
)
def test_parse_value(text, value):
    if value is ValueError:
        with pytest.raises(ValueError, match='brackets'):
            parse_value(text)
    else:
        parsed = parse_value(text)
        assert parsed == value and type(parsed) is type(value)


def test_options_of_several_flags_add_up(capsys):
    argv = ['c.py', '--cfg-options', 'a.b=[1,2]', 'c=x=y']
    args = options.parse_arguments(
        train.add_arguments, [*argv, '--cfg-options', 'd=']
    )
    assert args.cfg_options == {'a.b': [1, 2], 'c': 'x=y', 'd': ''}
    for wrong, message in (
        ('a.b', "takes KEY=VALUE, but got 'a.b'"),
        ('a=[1', '[1 is not a Python literal'),
    ):
        with pytest.raises(SystemExit):
            options.parse_arguments(train.add_arguments, [*argv, wrong])
        assert message in capsys.readouterr().err


def test_train_arguments():
    def parse(*argv):
        return options.parse_arguments(train.add_arguments, ['c.py', *argv])

    assert parse().resume is None and parse('--resume').resume == 'auto'
    assert parse('--resume', 'k.pth').resume == 'k.pth'
    assert parse('--local_rank', '2').local_rank == 2
    assert parse('--local-rank', '2').local_rank == 2
    assert parse('--protocol', 'tune').protocol == 'tune'


def test_test_needs_a_checkpoint():
    with pytest.raises(SystemExit):
        options.parse_arguments(test.add_arguments, ['c.py'])


def test_command_lists_and_runs_commands(monkeypatch, capsys):
    defining = {
        path.stem.replace('_', '-')
        for path in CLI.glob('*.py')
        if '\ndef add_arguments(' in path.read_text()
    }
    found = command.find_commands()
    modules = {n for n, path in found.items() if path.parent == CLI}
    assert {'train', 'test', 'check'} <= defining == modules
    tools = {'dataset_converters/masks', 'dist_train', 'doctor'}
    assert tools <= found.keys() and 'launch' not in found
    assert 'dataset_converters/matlab_files' not in found
    command.main([])
    lines = {line.strip() for line in capsys.readouterr().out.splitlines()}
    for line in (
        'train             Train a model from a config, or from a folder of '
        'images.',
        'dist_train        Train with several processes: dist_train.sh CONFIG '
        'GPUS [arguments of train.py]',
        'check_data        Check all data: ``python tools/check_data.py '
        'CONFIG``.',
    ):
        assert line in lines
    called = []
    monkeypatch.setattr(sys, 'argv', ['mmdavpt'])
    monkeypatch.setattr(command, 'run_command', lambda *x: called.append(x))
    command.main(['train', 'c.py', '--amp'])
    assert called == [(train, ['c.py', '--amp'])]
    assert command.main(['trian']) == 2
    assert "did you mean 'train'?" in capsys.readouterr().err


def test_help_and_wrong_paths_import_no_library():
    """Importing torch and the OpenMMLab packages takes many seconds."""
    code = """
import os, runpy, sys
from contextlib import redirect_stdout
from pathlib import Path

tools = sorted(map(str, Path('tools').rglob('*.py')))
runs = [['mmdavpt/cli/__main__.py', '--help']] + [
    [tool, '--help'] for tool in tools
    if "__name__ == '__main__'" in Path(tool).read_text()
    and 'torchrun' not in Path(tool).read_text()
]
command, convert = runs[0][0], 'tools/model_converters/'
for name in ('train', 'test', 'check', 'experiment'):
    runs += [[command, name, '--help'], [command, name, 'no.py', 'no.pth']]
config = 'configs/glyphs/vpt_glyphs.py'
runs += [
    [command, 'test', config, 'no.pth'],
    [command, 'train', config, '--resume', 'no.pth'],
    ['tools/browse_dataset.py', 'no.py'],
    [convert + 'publish.py', 'no.pth', 'out.pth'],
    [convert + 'convert_checkpoint.py', 'no.py', 'no.pth', 'out.pth'],
    ['tools/visualization/show_mapping.py', 'no.pth'],
    ['tools/dataset_converters/vtab1k.py', 'cifar', 'no'],
]
for argv in runs:
    if os.fork():
        status = os.waitstatus_to_exitcode(os.wait()[1])
        expected = 0 if argv[-1] == '--help' else 2
        if status != expected:
            print('status', status, argv)
        continue
    sys.argv, status = argv, 0
    try:
        with redirect_stdout(sys.stderr):
            runpy.run_path(argv[0], run_name='__main__')
    except SystemExit as end:
        status = end.code or 0
    slow = {'torch', 'mmengine', 'numpy', 'matplotlib'} & set(sys.modules)
    if slow:
        print('imports', slow, argv)
    sys.stdout.flush()
    os._exit(status)
print(len(runs))
"""
    done = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        cwd=CLI.parents[1],
        check=True,
    )
    assert int(done.stdout) > 25, done.stdout
    assert 'the config no.py does not exist' in done.stderr
