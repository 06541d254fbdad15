"""A few cases of the soak test: damaged configs and files."""

import os

import pytest
from mmengine.registry import init_default_scope

from benchmarks.soak import configs, files, isolated, soak


@pytest.mark.parametrize('seed', range(10))
def test_damaged_configs(seed):
    assert configs.case(seed).startswith(('one sentence', 'trains'))


def test_damaged_files():
    init_default_scope('mmpretrain')
    outcomes = [files.case(seed) for seed in range(60)]
    # It must both read intact files and notice damaged ones.
    assert any('checkpoint read' in outcome for outcome in outcomes)
    assert any('checkpoint refused' in outcome for outcome in outcomes)


def test_code_executed_by_a_checkpoint_is_detected(tmp_path, monkeypatch):
    def write(rng, folder):
        os.system(files.Command(str(folder / files.MARK)).__reduce__()[1][0])
        return monkeypatch.real(rng, folder)

    monkeypatch.real = files.write_checkpoint
    monkeypatch.setattr(files, 'write_checkpoint', write)
    seeds = iter(range(20))
    with pytest.raises(isolated.NotKept, match='was executed'):
        while True:
            files.case(next(seeds))


def test_command(capsys):
    assert soak.main(['files', '--count', '3']) == 0
    assert 'files: 3 cases in ' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        soak.main(['files', '--count', '0'])
