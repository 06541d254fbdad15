"""The soak test in the small: damaged configs and files, by seed."""

import os
import time

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope

from benchmarks.soak import configs, files, isolated, soak
from mmdavpt.checks.config.key_check import key_defects
from mmdavpt.checks.config.value_kinds import fits
from mmdavpt.errors import UsageError

from . import toy


@pytest.mark.parametrize('seed', range(10))
def test_damaged_configs(seed):
    assert configs.case(seed) in ('refused', 'ran')


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


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
)
@given(st.data())
def test_a_misspelt_key_is_never_silent(data):
    make = data.draw(st.sampled_from([toy.classification, toy.segmentation]))
    cfg = make('run')
    keys = [
        path
        for path in configs.places(cfg)
        if len(path) > 1 and isinstance(path[-1], str)
    ]
    path = data.draw(st.sampled_from(keys))
    node = configs.parent_of(cfg, path)
    name = path[-1]
    at = data.draw(st.integers(0, len(name)))
    misspelt = name[:at] + data.draw(st.sampled_from('qxz_')) + name[at:]
    node[misspelt] = node.pop(name)
    assert list(key_defects(cfg)), f'{path} as {misspelt}'


@given(st.one_of(st.integers(), st.floats(), st.text(), st.none()))
def test_kinds_of_values(value):
    assert fits(value, int | None) == (value is None or type(value) is int)
    assert fits(value, float) == isinstance(value, (int, float))
    assert not fits(value, dict) and not fits(value, list)
    assert fits(value, object)
    assert fits([value], list[int])  # what is inside is the constructor's


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
