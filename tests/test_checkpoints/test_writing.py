"""Files are written atomically."""

import os
import resource
import signal

import pytest
import torch

from mmdavpt.checkpoints import SaveError, atomic_write, read_run_checkpoint
from mmdavpt.checkpoints.writing import partial_files, save_checkpoint

OLD = dict(state_dict={'w': torch.zeros(10_000)}, meta=dict(iter=1))
NEW = dict(state_dict={'w': torch.ones(10_000)}, meta=dict(iter=2))


def saving_with_limit(path, limit, killed):
    """Return how a process ends that saves, but may write no more bytes."""
    pid = os.fork()
    if pid == 0:
        # The kernel kills at this byte, or lets the writing fail there.
        action = signal.SIG_DFL if killed else signal.SIG_IGN
        signal.signal(signal.SIGXFSZ, action)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            save_checkpoint(NEW, path)
        except SaveError:
            os._exit(3)
        except BaseException:
            os._exit(4)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('killed', [True, False])
def test_interrupted_write_keeps_the_old_file(tmp_path, suffix, killed):
    path = str(tmp_path / f'a{suffix}')
    save_checkpoint(OLD, path)
    size = os.path.getsize(path)
    for limit in (0, 1, size // 2, size - 1):
        status = saving_with_limit(path, limit, killed)
        assert read_run_checkpoint(path)['meta']['iter'] == 1
        if killed:
            assert os.WTERMSIG(status) == signal.SIGXFSZ
        else:
            assert os.waitstatus_to_exitcode(status) == 3
            assert os.listdir(tmp_path) == [f'a{suffix}']
    assert saving_with_limit(path, size + 100, killed) == 0
    assert read_run_checkpoint(path)['meta']['iter'] == 2


def test_save_error_message(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(
        SaveError, match='a.pth could not be written .*free some'
    ):
        save_checkpoint(OLD, str(tmp_path / 'file' / 'a.pth'))


def test_folder_is_created(tmp_path):
    save_checkpoint(OLD, str(tmp_path / 'new' / 'a.pth'))
    assert os.listdir(tmp_path / 'new') == ['a.pth']


def test_error_in_the_block_keeps_the_old_file(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with pytest.raises(KeyError), atomic_write(str(path)) as partial:
        with open(partial, 'w') as file:
            file.write('new')
        raise KeyError
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['a.txt']


def test_partial_files_are_found(tmp_path):
    (tmp_path / 'a.pth').touch()
    (tmp_path / 'b.pth.partial').touch()
    assert partial_files(str(tmp_path)) == [str(tmp_path / 'b.pth.partial')]


def test_safetensors_keep_weights_and_metadata(tmp_path):
    path = str(tmp_path / 'a.safetensors')
    weight = torch.arange(6.0).view(2, 3)
    save_checkpoint(
        dict(
            state_dict={'w': weight, 'tied': weight, 'turned': weight.T},
            meta=dict(dataset_meta=dict(classes=('a', 'b'))),
            optimizer=dict(state={}),
        ),
        path,
    )
    content = read_run_checkpoint(path)
    assert content['meta']['dataset_meta']['classes'] == ['a', 'b']
    assert sorted(content) == ['meta', 'state_dict']
    assert torch.equal(content['state_dict']['turned'], weight.T)
    assert torch.equal(content['state_dict']['tied'], weight)
