"""Atomic writing, parallel work and its progress bar."""

from functools import partial

import pytest
from rich.console import Console

from tools.dataset_converters.file_writing import replace_file, run_parallel


def touch(folder, name):
    (folder / str(name)).touch(exist_ok=False)


def test_replace_file(tmp_path):
    path = tmp_path / 'scene.png'
    path.write_bytes(b'the old one')
    replace_file(str(path), lambda file: file.write(b'new'))
    assert path.read_bytes() == b'new'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('before', [None, b'the old one'])
def test_failed_write_keeps_the_old_file(tmp_path, before):
    path = tmp_path / 'scene.png'
    if before is not None:
        path.write_bytes(before)

    def fail(file):
        file.write(b'half')
        raise OSError('disk full')

    with pytest.raises(OSError, match='disk full'):
        replace_file(str(path), fail)
    assert path.exists() == (before is not None)
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize('num_workers', [0, 2])
def test_run_parallel_processes_each_item_once(tmp_path, num_workers):
    run_parallel(partial(touch, tmp_path), range(20), num_workers, 'files')
    assert sorted(int(p.name) for p in tmp_path.iterdir()) == list(range(20))


@pytest.mark.parametrize('num_workers', [0, 2])
def test_run_parallel_raises_errors_of_workers(tmp_path, num_workers):
    with pytest.raises(FileExistsError):
        run_parallel(partial(touch, tmp_path), [1, 1], num_workers, 'files')


def test_progress_bar_reaches_the_end_on_a_terminal(monkeypatch, capsys):
    terminal = partial(Console, force_terminal=True)
    monkeypatch.setattr('rich.console.Console', terminal)
    run_parallel(str, range(7), 0, 'files')
    assert '100%' in capsys.readouterr().err


@pytest.mark.parametrize('num_items', [0, 7])
def test_no_progress_bar_without_a_terminal(num_items, capsys):
    run_parallel(str, range(num_items), 0, 'files')
    assert capsys.readouterr() == ('', '')
