"""``mmdavpt experiment``: tables, and runs that continue."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub

from mmdavpt.checkpoints.tuned import fingerprint, short
from mmdavpt.cli import experiment, experiment_record
from mmdavpt.cli.experiment_record import code_version
from mmdavpt.cli.experiment_table import (
    build_config,
    read_table,
    select_rows,
)
from mmdavpt.cli.messages import run_command
from mmdavpt.datasets.vtab1k import TASKS
from mmdavpt.errors import UsageError
from mmdavpt.version import __version__
from tests import toy

from .stopped_work import FolderRun, work

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'
sys.path.insert(0, str(TOOLS))
import experiment_plot  # noqa: E402

BASE = """
_base_ = './base.py'
lr = 0.1
layers = ['a', 'b']
optimizer = dict(lr=lr, layers=layers, folder='{{ fileDirname }}')
"""
TABLE = """row,base,compare,paper,lr,layers,optimizer.momentum
plain,child.py,,,,,
fast,child.py,plain,12.5,0.5,"['c']",
"heavy, fast",child.py,plain,,1,,0.9
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / 'base.py').write_text('randomness = dict(seed=5)\n')
    (tmp_path / 'child.py').write_text(BASE)
    (tmp_path / 'table.csv').write_text(TABLE)
    return tmp_path / 'table.csv'


def test_row_changes_variables_and_keys(table):
    rows = read_table(table)
    folder = table.parent.resolve().as_posix()
    plain = dict(lr=0.1, layers=['a', 'b'], folder=folder)
    assert build_config(rows['plain']).optimizer == plain
    fast = build_config(rows['fast'], seed=0)
    assert fast.optimizer == dict(plain, lr=0.5, layers=['c'])
    assert fast.randomness.seed == 0
    heavy = build_config(rows['heavy, fast']).optimizer
    assert heavy == dict(plain, lr=1, momentum=0.9)
    assert rows['fast'].compare == 'plain'


def test_unknown_variable_is_named(table):
    table.write_text('row,base,layer\na,child.py,3\n')
    with pytest.raises(UsageError, match="no variable 'layer'.*'layers'"):
        build_config(read_table(table)['a'])


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('row,lr\na,3\n', 'needs a `row` and a `base`'),
        ('row,base\na,child.py\na,child.py\n', "two rows named 'a'"),
    ],
)
def test_malformed_table_is_rejected(table, text, sentence):
    table.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_table(table)


def test_rows_are_selected_by_name_part_or_glob(table):
    rows = read_table(table)

    def names(*patterns):
        return [row.name for row in select_rows(rows, patterns)]

    assert names() == ['plain', 'fast', 'heavy, fast']
    assert names('fast') == ['fast']  # a whole name
    assert names('fas') == ['fast', 'heavy, fast']
    assert names('heavy*', 'plain') == ['plain', 'heavy, fast']
    with pytest.raises(UsageError, match="no row matches 'plan'.*'plain'"):
        names('plan')


@pytest.fixture
def runs(tmp_path):
    """Return a command that runs a table of two toy rows."""
    cfg = toy.classification(tmp_path / 'unused')
    del cfg['work_dir'], cfg['experiment_name']
    cfg['test_dataloader'] = cfg['val_dataloader']
    cfg['test_evaluator'], cfg['test_cfg'] = cfg['val_evaluator'], {}
    save_best = dict(checkpoint=dict(save_best='auto'))
    cfg['protocols'] = dict(tune=dict(default_hooks=save_best), retrain={})
    cfg['protocol'] = 'retrain'
    lines = [f'{key} = {value!r}\n' for key, value in cfg.items()]
    (tmp_path / 'toy.py').write_text(''.join(lines))
    (tmp_path / 'toys.csv').write_text(
        'row,base,compare,tuned,model.guidance\n'
        'VPT,toy.py,,"lr, on val",None\nDA-VPT (all),toy.py,VPT,,\n'
    )
    table, work = str(tmp_path / 'toys.csv'), tmp_path / 'work'

    def command(*flags):
        return run_command(
            experiment, [table, '--work-dir', str(work), *flags]
        )

    command.folder, command.table = work / 'toys', table
    return command


def test_runs_are_trained_tested_and_not_repeated(runs, capsys, monkeypatch):
    assert runs('--dry-run') == 0
    assert not runs.folder.exists()
    assert runs('--rows', 'VPT') == 0
    folder = runs.folder / 'VPT/seed_0'
    content = json.loads((folder / 'run.json').read_text())
    assert set(content['metrics']) == {'accuracy/top1'}
    parameters = 2 * 3 * 32 + 33 * 6
    assert content['num_trainable_params'] == parameters
    assert content['file_size'] == 4 * parameters
    assert content['train_time'] > 0
    assert (
        content['accelerator_memory_max'] is None or torch.cuda.is_available()
    )
    assert content['protocol'] == 'retrain'
    assert content['settings']['seed'] == 0
    assert content['num_train_images'] == 24
    assert content['tuned'] == 'lr, on val'
    assert 'tuned' not in content['settings']['changes']
    model = torch.load(folder / 'epoch_2.pth', weights_only=False)
    model = model['state_dict']
    frozen = [k for k in model if 'head' not in k and 'prompts' not in k]
    mark = short(fingerprint({name: model[name] for name in frozen}))
    assert content['backbone_fingerprint'] == mark
    assert content['normalization'] == dict(mean=[127.5] * 3, std=[64.0] * 3)
    digest = hashlib.sha256((folder / 'config.py').read_bytes())
    assert content['config'] == 'config.py'
    assert content['config_sha256'] == digest.hexdigest()
    merged = Config.fromfile(folder / 'config.py')
    assert merged.model.guidance is None and merged.work_dir == str(folder)
    # Only the second row is pending.
    trained = []
    run = experiment.train_and_test
    monkeypatch.setattr(
        experiment,
        'train_and_test',
        lambda r, verbose: trained.append(r.folder.parent.name) or run(r),
    )
    assert runs() == 0
    assert trained == ['DA-VPT-all']
    capsys.readouterr()
    assert runs('--report') == 0
    out = capsys.readouterr().out
    assert '| VPT | 1 | ' in out and '| DA-VPT (all) | 1 | ' in out
    assert trained == ['DA-VPT-all']
    # Other settings do not count as finished, nor do they overwrite.
    with pytest.raises(SystemExit):
        runs('--rows', 'VPT', '--cfg-options', 'train_cfg.max_epochs=1')
    assert 'a run with other settings' in capsys.readouterr().err
    # Nor do runs of a base that was edited, or of another one of its name.
    base = runs.folder.parent.parent / 'toy.py'
    base.write_text(base.read_text() + '\nx = 1\n')
    with pytest.raises(SystemExit):
        runs('--rows', 'VPT')
    assert 'a run with other settings' in capsys.readouterr().err
    base.unlink()
    with pytest.raises(SystemExit):
        runs('--rows', 'VPT')
    assert "row 'VPT': " in capsys.readouterr().err


def test_failed_run_is_reported_and_others_continue(runs, capsys):
    (runs.folder.parent.parent / 'toys.csv').write_text(
        'row,base,model.head.num_classes\nbad,toy.py,-3\ngood,toy.py,\n'
    )
    assert runs('--cfg-options', 'train_cfg.max_epochs=1') == 1
    captured = capsys.readouterr()
    assert 'bad/seed_0: ' in captured.err
    assert '| good | 1 |' in captured.out and '| bad |' not in captured.out


def test_training_time_is_summed_over_interruptions(runs, monkeypatch):
    ticks = SimpleNamespace(now=0.0)

    def perf_counter():
        ticks.now += 1.0
        return ticks.now

    monkeypatch.setattr(experiment_record, 'perf_counter', perf_counter)
    assert runs('--rows', 'VPT') == 0
    folder = runs.folder / 'VPT/seed_0'
    file = folder / 'run.json'
    before = json.loads(file.read_text())
    saved = [
        torch.load(folder / f'epoch_{i}.pth', weights_only=False)
        for i in (1, 2)
    ]
    first, second = (c['message_hub']['runtime_info'] for c in saved)
    assert 0 < first['train_time'] < second['train_time']
    # The end of the first epoch is the last that was saved: what follows was
    # lost, is spent again, and counts once.
    file.write_text(json.dumps(dict(settings=before['settings'])))
    (folder / 'epoch_2.pth').unlink()
    (folder / 'last_checkpoint').write_text(str(folder / 'epoch_1.pth'))
    ticks.now = 1e6  # a later process, maybe on another machine
    # Runs that start in the same second share their message hub.
    MessageHub._instance_dict.clear()
    assert runs('--rows', 'VPT') == 0
    after = json.loads(file.read_text())
    assert after['train_time'] == before['train_time']
    assert after['metrics'] == before['metrics']
    logs = sorted(folder.glob('*/*.log'))
    assert 'resumed epoch: 1' in logs[-1].read_text()


def test_run_interrupted_before_its_test_is_only_tested(runs):
    assert runs('--rows', 'VPT') == 0
    file = runs.folder / 'VPT/seed_0/run.json'
    before = json.loads(file.read_text())
    file.write_text(json.dumps(dict(settings=before['settings'])))
    assert runs('--rows', 'VPT') == 0
    after = json.loads(file.read_text())
    # `resume` is in the merged config; the last checkpoint was just written.
    for changed in ('config_sha256', 'train_time'):
        before.pop(changed), after.pop(changed)
    assert after == before
    logs = sorted(Path(file.parent).glob('*/*.log'))
    assert 'resumed epoch: 2' in logs[-1].read_text()


def test_time_is_unknown_after_a_checkpoint_without_it():
    hub = MessageHub('no_time')
    runner = SimpleNamespace(iter=3, message_hub=hub)
    hook = experiment_record.CostHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    assert hub.get_info('train_time') is None


def test_time_leaves_out_validation(monkeypatch):
    # Start, two iterations, then validation from 9 to 100, and one more.
    times = iter([1.0, 3.0, 6.0, 9.0, 100.0, 102.0, 102.5])
    monkeypatch.setattr(experiment_record, 'perf_counter', times.__next__)
    runner = SimpleNamespace(iter=0, message_hub=MessageHub('validation'))
    hook = experiment_record.CostHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.after_train_iter(runner, 1)
    hook.before_val(runner)
    hook.after_val(runner)
    hook.after_train_iter(runner, 2)
    hook.after_train(runner)
    assert runner.message_hub.get_info('train_time') == 8 + 2.5


def test_memory_is_the_peak_although_the_logger_resets_it(monkeypatch):
    peaks = iter([500, 900, 700])
    monkeypatch.setattr('torch.cuda.max_memory_allocated', peaks.__next__)
    runner = SimpleNamespace(iter=0, message_hub=MessageHub('memory'))
    hook = experiment_record.CostHook()
    hook.before_train(runner)
    for i in range(3):
        hook.after_train_iter(runner, i)
    assert runner.message_hub.get_info('accelerator_memory_max') == 900


def test_commit_of_a_clone_only(tmp_path):
    assert code_version(tmp_path) == __version__
    # A folder within somebody else's repository is no clone either.
    git = [
        'git',
        '-C',
        str(tmp_path),
        '-c',
        'user.name=a',
        '-c',
        'user.email=b',
    ]
    subprocess.run([*git, 'init', '-q'], check=True)
    (tmp_path / 'inner').mkdir()
    (tmp_path / 'inner/file').write_text('1')
    subprocess.run([*git, 'add', '.'], check=True)
    subprocess.run([*git, 'commit', '-qm', 'one'], check=True)
    assert code_version(tmp_path / 'inner') == __version__
    found = code_version(tmp_path)
    assert re.fullmatch('[0-9a-f]{40}', found)
    (tmp_path / 'inner/file').write_text('2')
    assert code_version(tmp_path) == f'{found}-dirty'


def test_plot_of_finished_runs(runs, capsys, tmp_path):
    assert runs('--rows', 'VPT') == 0
    file = runs.folder / 'VPT/seed_0/run.json'
    content = json.loads(file.read_text())
    # As written by version 0.1.
    old = ('settings', 'num_trainable_params', 'metrics')
    file.write_text(json.dumps({key: content[key] for key in old}))
    capsys.readouterr()
    picture = tmp_path / 'costs.png'
    assert runs('--report') == 0
    assert '| VPT | 1 | ' in capsys.readouterr().out
    work = ['--work-dir', str(runs.folder.parent)]
    experiment_plot.main([runs.table, str(picture), *work])
    assert picture.read_bytes().startswith(b'\x89PNG')
    with pytest.raises(SystemExit):
        experiment_plot.main([runs.table, 'costs.xyz', *work])
    assert "'xyz' is not supported" in capsys.readouterr().err


def test_run_that_chooses_its_epoch_is_not_tested(runs, capsys):
    assert runs('--rows', 'VPT', '--protocol', 'tune') == 0
    assert '| row | seeds | best val |' in capsys.readouterr().out
    file = runs.folder / 'VPT_tune/seed_0/run.json'
    content = json.loads(file.read_text())
    assert set(content['metrics']) == {'best val'}
    assert content['settings']['protocol'] == 'tune'


def test_report_has_the_means_of_vtab(runs, capsys):
    rows = [f'VPT_{task},toy.py,{task}' for task in TASKS]
    table = runs.folder.parent.parent / 'toys.csv'
    table.write_text('\n'.join(['row,base,task', *rows]))
    base = table.with_name('toy.py').read_bytes()
    digest = hashlib.sha256(base).hexdigest()[:16]
    for i, task in enumerate(TASKS):
        row, folder = f'VPT_{task}', runs.folder / f'VPT_{task}/seed_0'
        folder.mkdir(parents=True)
        settings = dict(row=row, base='toy.py', changes=dict(task=task))
        settings |= dict(seed=0, protocol=None, cfg_options={})
        settings['base_sha256'] = digest
        content = dict(settings=settings, metrics={'accuracy/top1': float(i)})
        (folder / 'run.json').write_text(json.dumps(content))
    assert runs('--report') == 0
    # Means of 0 to 6, 7 to 10 and 11 to 18; of 3, 8.5 and 14.5; of 0 to 18.
    assert '\n| VPT | 1 | 3.0 | 8.5 | 14.5 | 8.7 | 9.0 |\n' in (
        capsys.readouterr().out
    )


def test_a_signal_stops_all_workers(tmp_path):
    """After SIGTERM to the command, no worker starts the next run."""
    folders = [tmp_path / name for name in ('a', 'b', 'c')]
    for folder in folders:
        folder.mkdir()

    def stop_when_started():
        while len([*tmp_path.glob('*/started')]) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # without ours, fail
    threading.Thread(target=stop_when_started, daemon=True).start()
    runs = [FolderRun(folder) for folder in folders]
    failures = experiment.run_all(runs, 2, work)
    assert signal.signal(signal.SIGTERM, before) == signal.SIG_IGN
    assert failures == [experiment.STOPPED]
    assert [(f / 'stopped').exists() for f in folders] == [True, True, False]
    assert not (folders[2] / 'started').exists()
