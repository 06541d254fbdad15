"""Missing data are named before anything heavy starts."""

import pytest

from mmdavpt.utils import UsageError
from mmdavpt.utils.data_check import check_data
from mmdavpt.utils.preflight import check_checkpoint_exists, check_pretrained

from .data_files import check, loader, write


@pytest.mark.parametrize(
    'dataset,missing',
    [
        (dict(data_root='none'), 'none'),
        (dict(data_root='here', data_prefix=dict(img_path='a')), 'here/a'),
        (dict(data_root='here', data_prefix='a'), 'here/a'),
        (dict(data_root='here', ann_file='list.txt'), 'here/list.txt'),
        (dict(data_prefix=dict(img_path='a')), 'a'),
    ],
)
def test_missing_data(tmp_path, monkeypatch, dataset, missing):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here').mkdir()
    with pytest.raises(
        UsageError,
        match=f'train_dataloader.dataset reads {missing}, which does not '
        'exist.*docs/data.md.*train_dataloader.dataset.data_root=FOLDER',
    ):
        check_data(loader(**dataset), ['train'])
    check_data(loader(**dataset), ['test'])  # which is not there at all


def test_data_that_is_there(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'list.txt').touch()
    check_data(
        loader(
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images', seg_map_path=''),
            ann_file='list.txt',
        ),
        ['train'],
    )
    check_data(
        loader(data_root=str(tmp_path), ann_file=str(tmp_path / 'list.txt')),
        ['train'],
    )
    check_data(loader(data_root='s3://bucket'), ['train'])
    check_data(loader(seed=0), ['train'])


def test_data_inside_wrappers():
    inner = dict(data_root='/nope')
    with pytest.raises(UsageError, match='train_dataloader.dataset.dataset '):
        check_data(loader(dataset=inner), ['train'])
    with pytest.raises(UsageError, match='dataset.datasets.1.dataset '):
        check_data(loader(datasets=[dict(), dict(dataset=inner)]), ['train'])


def test_home_folder_is_expanded_for_checkpoints_alone(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'data').mkdir()
    write(tmp_path, 'x.pth', 'list.txt')
    check_checkpoint_exists('~/x.pth', 'the checkpoint')
    check_pretrained(dict(type='Pretrained', checkpoint='~/x.pth'))
    for dataset in (
        dict(data_root='~/data'),
        dict(data_prefix=dict(img_path='~/data')),
        dict(ann_file='~/list.txt'),
    ):
        with pytest.raises(UsageError, match='reads ~/.*write the full path'):
            check(**dataset)
    # MMPretrain expands these two, so they are no mistake there.
    check(type='mmpretrain.CIFAR10', data_prefix='~/data')
    check(type='mmpretrain.CIFAR10', ann_file='~/list.txt')
    with pytest.raises(UsageError, match='write the full path'):
        check(type='mmpretrain.CIFAR10', data_root='~/data')
