"""The soak test in the small: damaged configs and files, by seed."""

import os
import time

import pytest
from mmengine.registry import init_default_scope

from benchmarks.soak import configs, files, isolated, soak
from mmdavpt.errors import UsageError


@pytest.mark.parametrize('seed', range(10))
def test_damaged_configs(seed):
    assert configs.case(seed) in ('one sentence', 'trains')


def test_damaged_files():
    init_default_scope('mmpretrain')
    outcomes = [files.case(seed) for seed in range(60)]
    # It must be able to read what is whole, and notice what is not.
    assert any('checkpoint read' in outcome for outcome in outcomes)
    assert any('checkpoint refused' in outcome for outcome in outcomes)


def test_a_command_in_a_checkpoint_would_be_noticed(tmp_path, monkeypatch):
    def write(rng, folder):
        os.system(files.Command(str(folder / files.MARK)).__reduce__()[1][0])
        return monkeypatch.real(rng, folder)

    monkeypatch.real = files.write_checkpoint
    monkeypatch.setattr(files, 'write_checkpoint', write)
    seeds = iter(range(20))
    with pytest.raises(isolated.NotKept, match='was executed'):
        while True:
            files.case(next(seeds))


def test_cases_that_crash_hang_or_fail(monkeypatch):
    monkeypatch.setattr(isolated, 'LIMIT', 0.5)

    def case(seed):
        if seed == 1:
            raise UsageError('what is refused is for the case to say')
        if seed == 2:
            os.abort()
        if seed == 3:
            time.sleep(60)
        if seed == 4:
            raise isolated.NotKept('it lost a file')
        return 'fine'

    report = isolated.try_cases('toy', case, 6, 0, time.monotonic() + 60)
    assert report.count == 6 and report.outcomes == {'fine': 2}
    found = {failure.seed: failure.what for failure in report.failures}
    assert 'UsageError: what is refused' in found[1]
    assert 'died of -6' in found[2] and 'hung for' in found[3]
    assert found[4] == 'it lost a file'
    assert report.lines()[0].startswith('toy: 6 cases in ')


def test_the_command(monkeypatch, capsys):
    calls = []

    def run(part, count, minutes, seed):
        calls.append((part, count, minutes, seed))
        report = soak.Report(part)
        report.passed('fine')
        return report

    monkeypatch.setattr(soak, 'soak', run)
    assert soak.main(['all', '--minutes', '2', '--seed', '5']) == 0
    assert calls[0] == ('kills', 200, 2.0, 5) and len(calls) == 5
    assert soak.main(['files', '--count', '3']) == 0
    assert 'files: 1 cases in 0 s, 0 failed; 1 fine' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        soak.main(['files', '--count', '0'])
