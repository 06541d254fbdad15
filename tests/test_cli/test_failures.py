"""Failures before the first iteration are one sentence and a log."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmdavpt.cli import common
from mmdavpt.cli.messages import exit_with_sentence
from mmdavpt.errors import UsageError

ARGS = SimpleNamespace(config='c.py', no_check=True, local_rank=0)


@pytest.fixture
def cfg(tmp_path, monkeypatch):
    monkeypatch.setattr(common, 'build_runner', lambda cfg, training: Runner)
    return Config(dict(work_dir=str(tmp_path / 'run'), model=dict(a=1)))


class Runner:
    """A runner whose hooks have seen an iteration, or not."""

    started = False

    @classmethod
    def register_hook(cls, hook):
        hook.started = cls.started


def fail(cfg, error, started=False):
    Runner.started = started
    with exit_with_sentence():
        with common.run_prepared(cfg, ARGS, training=True):
            raise error


def test_an_unexpected_failure(cfg, capsys, tmp_path):
    with pytest.raises(SystemExit):
        fail(cfg, KeyError('gt_sem_seg'))
    (line,) = capsys.readouterr().err.splitlines()
    log = tmp_path / 'run/error.log'
    assert "before its first iteration: the key 'gt_sem_seg' is m" in line
    assert line.endswith(f'the traceback is in {log}')
    assert 'in fail\n    raise error\nKeyError' in log.read_text()


def test_expected_failures_are_logged_if_something_caused_them(cfg, tmp_path):
    with pytest.raises(SystemExit):
        fail(cfg, UsageError('set it'))
    assert not (tmp_path / 'run').exists()
    error = UsageError('set it')
    error.__cause__ = TypeError('inner')
    with pytest.raises(SystemExit):
        fail(cfg, error)
    assert 'TypeError: inner' in (tmp_path / 'run/error.log').read_text()


def test_a_failure_after_the_start_keeps_its_traceback(cfg, tmp_path):
    with pytest.raises(KeyError):
        fail(cfg, KeyError('x'), started=True)
    assert not (tmp_path / 'run').exists()


def test_a_work_folder_that_cannot_be_made(cfg, tmp_path, capsys):
    (tmp_path / 'run').touch()
    with pytest.raises(SystemExit):
        fail(cfg, ValueError('a\nb'))
    assert capsys.readouterr().err.endswith('iteration: a b\n')
