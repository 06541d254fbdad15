"""The table of the ablation is what its rows say."""

import json

import pytest

from mmdavpt.utils import cli
from tools.analysis_tools import ablation


@pytest.mark.parametrize('row', ablation.ROWS)
def test_every_row_is_a_config(row):
    cfg = cli.load_config(str(ablation.CONFIG), ablation.ROWS[row])
    for key, value in ablation.ROWS[row].items():
        node = cfg
        for name in key.split('.'):
            node = node[name]
        assert node == value


def test_rows_differ():
    changes = [json.dumps(change) for change in ablation.ROWS.values()]
    assert len(set(changes)) == len(changes)


def test_table_by_hand():
    base = next(iter(ablation.ROWS))
    results = {base: {0: 50.0, 1: 52.0, 2: 51.0}, 'token': {0: 51.0, 1: 55.0}}
    lines = ablation.table(results).splitlines()
    assert lines[2] == f'| {base} | 3 | 51.0 ± 1.0 |  |  |'
    # Differences 1 and 3: mean 2, deviation sqrt(2), error 1.
    assert lines[3] == '| token | 2 | 53.0 ± 2.8 | +2.0 ± 1.4 | 2.0 |'


def test_runs_are_kept_and_collected(tmp_path, capsys):
    command = ['--work-dir', str(tmp_path), '--seeds', '0', '1']
    for row, seed, top1 in (('token', 0, 40.0), ('token', 1, 42.0)):
        path = ablation.result_path(tmp_path, row, seed)
        path.parent.mkdir(exist_ok=True)
        options = {**ablation.ROWS[row], 'randomness.seed': seed}
        path.write_text(json.dumps(dict(top1=top1, options=options)))
        before = path.stat().st_mtime_ns
        ablation.run((tmp_path, row, seed, {}))  # done: nothing is run
        assert path.stat().st_mtime_ns == before
    ablation.main([*command, '--report'])
    assert '| token | 2 | 41.0 ± 1.4 |' in capsys.readouterr().out
    ablation.main([*command, '--report', '--epochs', '3'])
    assert '| token |' not in capsys.readouterr().out  # of longer runs


def test_rows_have_folders_of_their_own(tmp_path):
    paths = {ablation.result_path(tmp_path, r, 0) for r in ablation.ROWS}
    assert len(paths) == len(ablation.ROWS)
