"""``mmdavpt experiment``: tables, runs that continue, and their statistics."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdavpt.cli import experiment
from mmdavpt.cli.experiment_report import report_table
from mmdavpt.cli.experiment_table import (
    build_config,
    read_table,
    select_rows,
)
from mmdavpt.errors import UsageError
from tests import toy

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


def test_report_by_hand():
    scores = {
        'base': {0: 50.0, 1: 52.0, 2: 51.0},
        'guided': {0: 51.0, 1: 55.0},
        'other': {0: 10.0},
        'of other': {0: 12.5},
    }
    compare = dict(base='', guided='base', other='') | {'of other': 'other'}
    runs = {
        row: {seed: {'mIoU': v, 'aAcc': 0.0} for seed, v in of_seed.items()}
        for row, of_seed in scores.items()
    }
    assert report_table(runs, compare).splitlines() == [
        '| row | seeds | mIoU | compared with | difference | t |',
        '|---|---|---|---|---|---|',
        '| base | 3 | 51.0 ± 1.0 |  |  |  |',
        # Differences 1 and 3: mean 2, deviation sqrt(2), error 1.
        '| guided | 2 | 53.0 ± 2.8 | base | +2.0 ± 1.4 | 2.0 |',
        '| other | 1 | 10.0 |  |  |  |',
        '| of other | 1 | 12.5 | other | +2.5 |  |',
    ]


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
        'row,base,compare,model.guidance\n'
        'VPT,toy.py,,None\nDA-VPT (all),toy.py,VPT,\n'
    )
    table, work = str(tmp_path / 'toys.csv'), tmp_path / 'work'

    def command(*flags):
        return experiment.main([table, '--work-dir', str(work), *flags])

    command.folder = work / 'toys'
    return command


def test_runs_are_trained_tested_and_not_repeated(runs, capsys, monkeypatch):
    assert runs('--dry-run') == 0
    assert not runs.folder.exists()
    assert runs('--rows', 'VPT') == 0
    folder = runs.folder / 'VPT/seed_0'
    content = json.loads((folder / 'run.json').read_text())
    assert set(content['metrics']) == {'accuracy/top1'}
    assert content['num_trainable_params'] == 2 * 3 * 32 + 33 * 6
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


def test_failed_run_is_reported_and_others_continue(runs, capsys):
    (runs.folder.parent.parent / 'toys.csv').write_text(
        'row,base,model.head.num_classes\nbad,toy.py,-3\ngood,toy.py,\n'
    )
    assert runs('--cfg-options', 'train_cfg.max_epochs=1') == 1
    captured = capsys.readouterr()
    assert 'bad/seed_0: ' in captured.err
    assert '| good | 1 |' in captured.out and '| bad |' not in captured.out


def test_interrupted_run_resumes(runs):
    assert runs('--rows', 'VPT') == 0
    file = runs.folder / 'VPT/seed_0/run.json'
    before = json.loads(file.read_text())
    file.write_text(json.dumps(dict(settings=before['settings'])))
    assert runs('--rows', 'VPT') == 0
    assert json.loads(file.read_text()) == before
    logs = sorted(Path(file.parent).glob('*/*.log'))
    assert 'resumed epoch: 2' in logs[-1].read_text()


def test_run_that_chooses_its_epoch_is_not_tested(runs, capsys):
    assert runs('--rows', 'VPT', '--protocol', 'tune') == 0
    assert '| row | seeds | best val |' in capsys.readouterr().out
    file = runs.folder / 'VPT_tune/seed_0/run.json'
    content = json.loads(file.read_text())
    assert set(content['metrics']) == {'best val'}
    assert content['settings']['protocol'] == 'tune'
