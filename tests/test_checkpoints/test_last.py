"""Find the checkpoint to resume from, even in a damaged or moved folder."""

import os

import pytest
import torch

from mmdavpt.checkpoints import SaveError, last_checkpoint, write_pointer
from mmdavpt.errors import UsageError


def save(path, iteration, **kwargs):
    content = dict(
        meta=dict(epoch=0, iter=iteration),
        state_dict={'w': torch.zeros(100)},
        message_hub={},
        optimizer={},
    )
    path.parent.mkdir(exist_ok=True)
    torch.save(dict(content, **kwargs), path)
    return str(path)


def damage(path):
    content = bytearray(open(path, 'rb').read())
    content[len(content) // 2] ^= 0xFF
    with open(path, 'wb') as file:
        file.write(content)


def test_empty_folder_has_no_checkpoint(tmp_path):
    assert last_checkpoint(str(tmp_path)) == (None, [])
    assert last_checkpoint(str(tmp_path / 'no')) == (None, [])


def test_last_checkpoint_file_is_used(tmp_path):
    first = save(tmp_path / 'iter_1.pth', 1)
    save(tmp_path / 'iter_2.pth', 2)
    write_pointer(str(tmp_path), first)
    assert last_checkpoint(str(tmp_path)) == (first, [])


def test_moved_folder_uses_its_own_checkpoint(tmp_path):
    old = save(tmp_path / 'old' / 'iter_1.pth', 1)
    new = save(tmp_path / 'new' / 'iter_1.pth', 1)
    write_pointer(str(tmp_path / 'new'), old)
    assert last_checkpoint(str(tmp_path / 'new')) == (new, [])
    os.remove(new)  # checkpoints may lie elsewhere: `out_dir` of the hook
    assert last_checkpoint(str(tmp_path / 'new')) == (old, [])


@pytest.mark.parametrize('how', ['flipped', 'cut', 'empty', 'gone'])
def test_damaged_checkpoint_is_skipped(tmp_path, how):
    save(tmp_path / 'iter_9.pth', 9)
    whole = save(tmp_path / 'iter_10.pth', 10)
    last = save(tmp_path / 'iter_11.pth', 11)
    save(tmp_path / 'best_acc_iter_12.pth', 12)
    write_pointer(str(tmp_path), last)
    if how == 'flipped':
        damage(last)
    elif how == 'gone':
        os.remove(last)
    else:
        os.truncate(last, 0 if how == 'empty' else 300)
    path, notes = last_checkpoint(str(tmp_path))
    assert path == whole
    assert len(notes) == 2
    assert last in notes[0]
    assert f'resuming from {whole} of iteration 10' in notes[1]


@pytest.mark.parametrize('content', [b'', b'\xff\x00\x9f', b'\n'])
def test_damaged_last_checkpoint_file(tmp_path, content):
    whole = save(tmp_path / 'iter_10.pth', 10)
    (tmp_path / 'last_checkpoint').write_bytes(content)
    path, notes = last_checkpoint(str(tmp_path))
    assert path == whole
    assert 'last_checkpoint is damaged' in notes[0]


def test_checkpoint_without_a_last_checkpoint_file(tmp_path):
    whole = save(tmp_path / 'iter_1.pth', 1)
    assert last_checkpoint(str(tmp_path))[0] == whole


def test_skipped_checkpoints_of_another_folder_are_reported(tmp_path):
    """Damaged ones, and weights of no run, in the `out_dir` of the hook."""
    whole = save(tmp_path / 'out' / 'iter_2.pth', 2)
    for name in ('iter_3', 'iter_4'):
        damage(save(tmp_path / 'out' / f'{name}.pth', 3))
    save(tmp_path / 'out' / 'vit.pth', 9, optimizer=None)
    write_pointer(str(tmp_path), str(tmp_path / 'out' / 'iter_4.pth'))
    path, notes = last_checkpoint(str(tmp_path))
    assert path == whole
    assert ['iter_4' in notes[0], 'iter_3' in notes[1]] == [True, True]
    assert len(notes) == 3


@pytest.mark.parametrize(
    'part',
    [
        dict(meta=None),
        dict(meta=dict(epoch=0)),
        dict(meta=dict(iter=1)),
        dict(state_dict=None),
        dict(message_hub=None),
        dict(optimizer=None),
    ],
)
def test_folder_without_a_resumable_checkpoint_is_an_error(tmp_path, part):
    path = save(tmp_path / 'iter_1.pth', 1, **part)
    write_pointer(str(tmp_path), path)
    with pytest.raises(UsageError, match='is not resumable'):
        last_checkpoint(str(tmp_path))


def test_failed_write_keeps_last_checkpoint_file(tmp_path, monkeypatch):
    first = save(tmp_path / 'iter_1.pth', 1)
    write_pointer(str(tmp_path), first)

    def full(*names):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'replace', full)
    with pytest.raises(SaveError, match='last_checkpoint could not be writt'):
        write_pointer(str(tmp_path), str(tmp_path / 'iter_2.pth'))
    assert last_checkpoint(str(tmp_path)) == (first, [])


def test_remote_checkpoint_is_not_verified(tmp_path):
    write_pointer(str(tmp_path), 's3://bucket/iter_1.pth')
    assert last_checkpoint(str(tmp_path)) == ('s3://bucket/iter_1.pth', [])
