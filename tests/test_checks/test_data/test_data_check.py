"""Missing data are named before anything heavy starts."""

import json

import pytest
from mmengine.config import Config

from mmdavpt.checks.data.data_check import (
    check_data,
    check_run_data,
    evenly_spread,
)
from mmdavpt.checks.fit import check_checkpoint_exists, missing_weights
from mmdavpt.errors import UsageError

from .data_files import (
    check,
    label,
    listed_images,
    loader,
    scenes,
    truncate,
    write,
)


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
    weights = dict(type='Pretrained', checkpoint='~/x.pth')
    assert not list(missing_weights(Config(dict(model=weights))))
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


def test_whole_scenes(tmp_path):
    check(**scenes(tmp_path))


@pytest.mark.parametrize('name', ['img/2.jpg', 'ann/2.png'])
def test_truncated_files_of_scenes(tmp_path, name):
    dataset = scenes(tmp_path)
    truncate(tmp_path / name)
    with pytest.raises(
        UsageError,
        match=rf'^train_dataloader.dataset: {tmp_path}/{name} is truncated: '
        r'it is a \w+ without its end; copy them again',
    ):
        check(**dataset)
    wrapped = dict(type='KFoldDataset', dataset=dataset)
    with pytest.raises(UsageError, match='dataset.dataset: .* is truncated'):
        check(**wrapped)
    # Labels that are not read do not count.
    unread = {**dataset, 'pipeline': dataset['pipeline'][:1]}
    if name == 'ann/2.png':
        check(**unread)
    truncate(tmp_path / 'img/3.jpg')
    with pytest.raises(UsageError, match=r'\(1 more file too\)|end \(2 more'):
        check(**dataset)


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_labels_of_pixels_of_every_split(tmp_path, split):
    dataset = scenes(tmp_path, classes=3)
    cfg = {f'{split}_dataloader': dict(dataset=dataset)}
    check_data(cfg, [split])
    label(tmp_path / 'ann/1.png', [[0, 255], [3, 1]])
    with pytest.raises(
        UsageError,
        match=rf'{split}_dataloader.dataset: {tmp_path}/ann/1.png has the '
        'label 3, but there are 3 classes, .*; check reduce_zero_label',
    ):
        check_data(cfg, [split])
    cfg['model'] = dict(decode_head=dict(num_classes=3, ignore_index=3))
    with pytest.raises(UsageError, match='has the label 255, but'):
        check_data(cfg, [split])


def test_labels_of_pixels_are_judged_as_they_are_read(tmp_path):
    dataset = scenes(tmp_path, classes=3, reduce_zero_label=True)
    label(tmp_path / 'ann/1.png', [[0, 255], [3, 1]])
    check(**dataset)
    label(tmp_path / 'ann/1.png', [[0, 255], [4, 1]])
    with pytest.raises(UsageError, match=r'label 3 \(4 in the file'):
        check(**dataset)
    # A dataset without names of classes has as many as the head.
    del dataset['metainfo']
    head = dict(model=dict(decode_head=dict(num_classes=4)))
    check_data({**loader(**dataset), **head}, ['train'])
    head['model']['decode_head']['num_classes'] = 3
    # In a cascade the last head counts.
    cascade = [dict(num_classes=9), head['model']['decode_head']]
    head['model']['decode_head'] = cascade
    with pytest.raises(UsageError, match='there are 3 classes'):
        check_data({**loader(**dataset), **head}, ['train'])


def test_some_annotations_of_many_are_decoded(tmp_path, monkeypatch):
    dataset = scenes(tmp_path, number=9)
    monkeypatch.setattr('mmdavpt.checks.data.data_check.MOST_ANNOTATIONS', 3)
    label(tmp_path / 'ann/1.png', [[9, 0], [1, 1]])
    check(**dataset)
    label(tmp_path / 'ann/8.png', [[9, 0], [1, 1]])
    with pytest.raises(UsageError, match='8.png has the label 9'):
        check(**dataset)


def test_evenly_spread():
    assert evenly_spread(3, 5) == evenly_spread(3, 3) == [0, 1, 2]
    assert evenly_spread(9, 3) == [0, 4, 8]
    chosen = evenly_spread(20210, 64)
    assert len(set(chosen)) == 64 and chosen[-1] == 20209
    assert evenly_spread(0, 5) == []


def test_lists_of_images(tmp_path):
    dataset = listed_images(tmp_path, {'a.jpg': 0, 'sub/b.png': 2})
    check(**dataset)
    cfg = {**loader(**dataset), 'model': dict(head=dict(num_classes=3))}
    check_data(cfg, ['train'])
    cfg['model']['head']['num_classes'] = 2
    with pytest.raises(
        UsageError,
        match=f'{tmp_path}/sub/b.png has the label 2, but there are 2 classes',
    ):
        check_data(cfg, ['train'])
    truncate(tmp_path / 'sub/b.png')
    with pytest.raises(UsageError, match='sub/b.png is truncated'):
        check(**dataset)
    (tmp_path / 'a.jpg').unlink()
    with pytest.raises(UsageError, match=r'a.jpg does not exist \(1 more'):
        check(**dataset)
    (tmp_path / 'list.txt').write_text('a.jpg apple')
    with pytest.raises(
        UsageError, match=r'cannot be read \(invalid .*check its lists'
    ):
        check(**dataset)
    (tmp_path / 'list.txt').write_text('')
    with pytest.raises(UsageError, match='should list images, but lists none'):
        check(**dataset)


def test_the_same_files_are_looked_at_once(tmp_path, monkeypatch):
    dataset = listed_images(tmp_path, {'a.jpg': 0})
    calls = []
    monkeypatch.setattr(
        'mmdavpt.checks.data.data_check.file_defects',
        lambda paths: calls.append(paths) or [],
    )
    cfg = {
        f'{split}_dataloader': dict(
            dataset=dict(
                type='KFoldDataset',
                test_mode=split == 'val',
                dataset={**dataset, 'pipeline': dataset['pipeline'][: 1 + i]},
            )
        )
        for i, split in enumerate(('train', 'val'))
    }
    check_data(cfg, ['train', 'val'])
    assert calls == [[f'{tmp_path}/a.jpg']]
    cfg['val_dataloader']['dataset']['dataset']['ann_file'] = 'other.txt'
    with pytest.raises(UsageError, match='other.txt, which does not exist'):
        check_data(cfg, ['train', 'val'])


def test_test_data_stop_no_training(tmp_path):
    cfg = {
        f'{split}_dataloader': dict(dataset=scenes(tmp_path / split))
        for split in ('train', 'test')
    }
    assert check_run_data(cfg, training=True) == []
    label(tmp_path / 'test/ann/1.png', [[0, 9], [1, 1]])
    (warning,) = check_run_data(cfg, training=True)
    assert 'test_dataloader.dataset: ' in warning and 'label 9' in warning
    with pytest.raises(UsageError, match='has the label 9'):
        check_run_data(cfg, training=False)
    cfg['test_dataloader']['dataset']['data_root'] = '/nowhere'
    (warning,) = check_run_data(cfg, training=True)
    assert 'reads /nowhere' in warning
    truncate(tmp_path / 'train/img/0.jpg')
    with pytest.raises(UsageError, match='train_dataloader.* truncated'):
        check_run_data(cfg, training=True)


def test_broken_files_that_are_to_be_replaced(tmp_path):
    hook = dict(type='mmdavpt.TrainingCheckHook', max_broken_files=2)
    cfg = dict(
        train_dataloader=dict(dataset=scenes(tmp_path / 'a')),
        val_dataloader=dict(dataset=scenes(tmp_path / 'b')),
        custom_hooks=[dict(type='Other'), hook],
    )
    assert check_run_data(cfg, training=True) == []
    truncate(tmp_path / 'a/img/0.jpg')
    (tmp_path / 'a/ann/2.png').write_bytes(b'')
    (note,) = check_run_data(cfg, training=True)
    assert '0.jpg is truncated' in note and '(1 more files too)' in note
    truncate(tmp_path / 'a/img/3.jpg')  # one too many
    with pytest.raises(UsageError, match='0.jpg is truncated'):
        check_run_data(cfg, training=True)
    hook['max_broken_files'] = 3
    truncate(tmp_path / 'b/img/3.jpg')  # no score is computed without it
    with pytest.raises(UsageError, match='val_dataloader.*3.jpg is trunc'):
        check_run_data(cfg, training=True)


def test_readers_of_this_package_say_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = dict(type='mmdavpt.FGVC', name='cub', split='train')
    with pytest.raises(
        UsageError, match='^train_dataloader.dataset: .*data/fgvc.* not exist'
    ):
        check(**dataset)
    for part in ('train', 'val', 'test'):
        entries = {f'images/{part}{k}.jpg': k for k in (4, 7)}
        (tmp_path / f'{part}.json').write_text(json.dumps(entries))
        write(tmp_path, *entries)
    dataset.update(data_root=str(tmp_path), check_size=False)
    check(**dataset)
    write(tmp_path, 'images/train7.jpg', content='')
    with pytest.raises(UsageError, match='train7.jpg is empty'):
        check(**dataset)
    check(**{**dataset, 'split': 'test'})
    with pytest.raises(UsageError, match='lists 2 images, but CUB.* has 5394'):
        check(**{**dataset, 'check_size': True})


def test_tasks_of_vtab(tmp_path):
    folder = tmp_path / 'kitti'
    names = [f'images/test/{i:06d}.png' for i in range(3)]
    write(folder, *names)
    lines = [f'{name} {i}' for i, name in enumerate(names)]
    write(folder, 'test.txt', content='\n'.join(lines))
    dataset = dict(
        type='mmdavpt.VTAB1k',
        task='kitti',
        split='test',
        data_root=str(tmp_path),
        check_size=False,
    )
    check(**dataset)
    with pytest.raises(UsageError, match='dataset: .* lists 3 images, but'):
        check(**{**dataset, 'check_size': True})
    truncate(folder / names[2])
    with pytest.raises(UsageError, match='000002.png is truncated'):
        check(**dataset)
    write(folder, 'test.txt', content=f'{names[0]} 4')
    with pytest.raises(UsageError, match='^train_dataloader.dataset: .*test'):
        check(**dataset)


def test_lists_of_the_hosts_that_are_missing(tmp_path):
    with pytest.raises(
        UsageError,
        match=r'dataset reads .*images\.txt, which does not exist',
    ):
        check(type='mmpretrain.CUB', data_root=str(tmp_path), split='train')


def test_drawn_data_have_no_files():
    check(
        type='mmdavpt.GlyphDataset',
        chars='AB',
        faces='latin_train',
        num_images=3,
    )
    check(type='mmdavpt.GlyphSceneDataset', faces='latin_train', num_images=3)
