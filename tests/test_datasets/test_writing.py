"""Files are whole or not there, and parallel work does each item once."""

from functools import partial

import pytest

from mmdavpt.datasets.writing import replace_file, run_parallel


def touch(folder, name):
    (folder / str(name)).touch(exist_ok=False)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / 'scene.png'
    path.write_bytes(b'the old one')
    replace_file(str(path), lambda file: file.write(b'new'))
    assert path.read_bytes() == b'new'
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('before', [None, b'the old one'])
def test_a_failed_write_leaves_what_was_there(tmp_path, before):
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
def test_each_item_is_done_once(tmp_path, num_workers):
    run_parallel(partial(touch, tmp_path), range(20), num_workers, 'files')
    assert sorted(int(p.name) for p in tmp_path.iterdir()) == list(range(20))


@pytest.mark.parametrize('num_workers', [0, 2])
def test_an_error_of_a_worker_is_passed_on(tmp_path, num_workers):
    with pytest.raises(FileExistsError):
        run_parallel(partial(touch, tmp_path), [1, 1], num_workers, 'files')


def test_nothing_to_do_draws_no_bar(capsys):
    run_parallel(print, [], 2, 'files')
    assert capsys.readouterr() == ('', '')
