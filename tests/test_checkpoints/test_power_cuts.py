"""Power cuts during a save lose nothing; missing fsyncs are detected."""

import math
import os
import os.path as osp

import pytest

from benchmarks.soak import power
from benchmarks.soak.power import Moment
from mmdavpt.checkpoints import writing


def test_nothing_is_lost():
    report = power.run(count=60, seed=0, deadline=math.inf)
    assert report.lines()[1:] == []
    assert report.count == 60


def skip(_path):
    """Wait for nothing."""


def skip_folders(path, wait=writing._to_disk):
    """Wait for files alone."""
    if not osp.isdir(path):
        wait(path)


@pytest.mark.parametrize('lazy', [skip, skip_folders])
def test_missing_fsync_is_detected(monkeypatch, lazy):
    monkeypatch.setattr(writing, '_to_disk', lazy)
    assert power.run(count=60, seed=0, deadline=math.inf).failures


def test_possible_disk_states():
    """A file is written, waited for, and renamed over another."""
    old, new = {1: b'old!'}, {1: b'old!', 2: b'new!'}
    moments = [
        Moment({'a': 1}, old, sure_names=True),
        Moment({'a': 1, 'b': 2}, new),
        Moment({'a': 1, 'b': 2}, new, sure=2),
        Moment({'a': 2}, {2: b'new!'}),
        Moment({'a': 2}, {2: b'new!'}, sure_names=True),
    ]
    unwritten = [dict(a=b'old!', b=content) for content in (b'', b'ne')]
    whole = dict(a=b'old!', b=b'new!')
    before, after = dict(a=b'old!'), dict(a=b'new!')
    assert [*power.disks(moments[:1])] == [before]
    assert [*power.disks(moments[:2])] == [before, *unwritten, whole]
    assert [*power.disks(moments[:3])] == [before, whole]
    assert [*power.disks(moments[:4])] == [before, whole, after]
    assert [*power.disks(moments)] == [after]


def test_possible_bytes_of_an_overwritten_file():
    moments = [
        Moment({'a': 1}, {1: b'old!'}, sure_names=True),
        Moment({'a': 1}, {1: b'newer!'}),
    ]
    assert power.bytes_of(1, moments) == [b'old!', b'', b'new', b'newer!']


def test_recorder_records_file_operations(tmp_path):
    (tmp_path / 'a').write_bytes(b'old')
    with power.Recorder(str(tmp_path)) as recorder:
        (tmp_path / 'b').write_bytes(b'new')
        with (tmp_path / 'b').open() as file:
            os.fsync(file.fileno())
        os.replace(tmp_path / 'b', tmp_path / 'a')
        os.remove(tmp_path / 'a')
    names = [sorted(moment.names) for moment in recorder.moments]
    a, both = ['a'], ['a', 'b']
    assert names == [a, both, both, both, a, a, [], []]
    sure = [moment.sure is not None for moment in recorder.moments]
    assert sure == [False, False, True] + 5 * [False]
    assert os.fsync.__module__ == 'posix'
