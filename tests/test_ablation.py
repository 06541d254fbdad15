"""The tables of the ablations are what their rows say."""

import json
import sys
from pathlib import Path

import pytest

from mmdavpt.cli import common as cli

TOOLS = Path(__file__).resolve().parents[1] / 'tools' / 'analysis_tools'
sys.path.insert(0, str(TOOLS))
import ablation  # noqa: E402
from studies import CONFIGS, STUDIES, Study  # noqa: E402

ROWS = [(name, row) for name, study in STUDIES.items() for row in study.rows]
SMALL = Study(
    title='Small',
    config='davpt_glyphs.py',
    metric='accuracy/top1',
    name='top-1',
    rows={
        'base': {'model.guidance': None},
        'guided': {},
        'other base': {'model.backbone.num_prompts': 4},
        'of the other': {'model.backbone.num_prompts': 5},
    },
    bases={'of the other': 'other base'},
)


@pytest.mark.parametrize('name, row', ROWS)
def test_every_row_is_a_config(name, row):
    study = STUDIES[name]
    options = ablation.options_of(study, row, 3, {})
    cfg = cli.load_config(str(CONFIGS / study.config), options)
    for key, value in options.items():
        node = cfg
        for part in key.split('.'):
            node = node[int(part)] if part.isdigit() else node[part]
        assert node == value
    assert cfg.randomness.seed == 3


@pytest.mark.parametrize('name', STUDIES)
def test_rows_differ_and_their_bases_are_rows(name):
    study = STUDIES[name]
    changes = [json.dumps(change) for change in study.rows.values()]
    assert len(set(changes)) == len(changes)
    assert set(study.bases) | set(study.bases.values()) <= set(study.rows)


def test_table_by_hand():
    results = {
        'base': {0: 50.0, 1: 52.0, 2: 51.0},
        'guided': {0: 51.0, 1: 55.0},
        'other base': {0: 10.0},
        'of the other': {0: 12.5},
    }
    lines = ablation.table(SMALL, results).splitlines()
    assert lines[2:] == [
        '| base | 3 | 51.0 ± 1.0 |  |  |',
        # Differences 1 and 3: mean 2, deviation sqrt(2), error 1.
        '| guided | 2 | 53.0 ± 2.8 | +2.0 ± 1.4 | 2.0 |',
        '| other base | 1 | 10.0 |  |  |',
        '| of the other | 1 | 12.5 | +2.5 |  |',
    ]


def keep(folder, study, row, seed, result):
    options = ablation.options_of(study, row, seed, {})
    path = ablation.result_path(folder, study.config, options)
    path.write_text(json.dumps(dict(result=result)))
    return path, options


def test_runs_are_kept_and_collected(tmp_path, capsys):
    study = STUDIES['paper']
    for seed, result in ((0, 40.0), (1, 42.0)):
        path, options = keep(tmp_path, study, 'token', seed, result)
        before = path.stat().st_mtime_ns
        # Done: nothing is run.
        ablation.run((tmp_path, study.config, options, study.metric, None))
        assert path.stat().st_mtime_ns == before
    command = ['paper', '--work-dir', str(tmp_path), '--report']
    ablation.main([*command, '--seeds', '0', '1'])
    assert '| token | 2 | 41.0 ± 1.4 |' in capsys.readouterr().out
    ablation.main([*command, '--length', '3'])
    assert '| token |' not in capsys.readouterr().out  # of longer runs


def test_studies_share_the_runs_that_they_have_in_common(tmp_path):
    keep(tmp_path, STUDIES['paper'], 'VPT (base)', 0, 50.0)
    found = ablation.collect(tmp_path, STUDIES['causes'], [0], {})
    assert found == {'VPT': {0: 50.0}}


def test_rows_have_results_of_their_own(tmp_path):
    paths = {
        ablation.result_path(
            tmp_path,
            STUDIES[name].config,
            ablation.options_of(STUDIES[name], row, 0, {}),
        )
        for name, row in ROWS
    }
    # Two rows of `causes` are rows of `paper` too.
    assert len(paths) == len(ROWS) - 2


def test_an_unknown_row_is_named(capsys):
    with pytest.raises(SystemExit):
        ablation.main(['paper', '--rows', 'tokens'])
    assert "'tokens'" in capsys.readouterr().err
