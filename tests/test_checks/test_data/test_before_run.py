"""Missing, broken and wrongly labelled data are named before a run."""

import json

import pytest

from mmdavpt.checks.data import before_run
from mmdavpt.checks.data.before_run import check_run_data, evenly_spread
from mmdavpt.errors import UsageError

from .data_files import (
    CLS,
    SEG,
    check,
    config,
    label,
    listed_images,
    scenes,
    truncate,
    write,
)


@pytest.mark.parametrize(
    'dataset, missing',
    [
        (dict(type=CLS, data_root='none'), 'none'),
        (dict(type=CLS, data_root='here', data_prefix='a'), 'here/a'),
        (dict(type=CLS, data_root='here', ann_file='list.txt'), 'here/list'),
        (dict(type=SEG, data_root='here', data_prefix=dict(img_path='a')), ''),
        (dict(type='mmpretrain.CUB', data_root='here', split='test'), 'here/'),
        (dict(type='mmdavpt.FGVC', name='cub', split='train'), 'data/fgvc'),
    ],
)
def test_missing_data(tmp_path, monkeypatch, dataset, missing):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'here').mkdir()
    with pytest.raises(
        UsageError, match=f'^train_dataloader.dataset.*{missing}.*not exist'
    ):
        check(**dataset, pipeline=[])


def test_home_folder_is_not_expanded():
    with pytest.raises(UsageError, match="'~' is not expanded, so write the"):
        check(type=SEG, data_prefix=dict(img_path='~/data'))


def test_data_that_is_not_checked():
    glyphs = dict(faces='latin_train', num_images=3, pipeline=[])
    assert check(type='mmdavpt.GlyphDataset', chars='AB', **glyphs) == []
    assert check(type='mmdavpt.GlyphSceneDataset', **glyphs) == []
    # Checking must not download.
    assert check(type='mmpretrain.CIFAR10', data_root='/nowhere') == []


def test_no_image_with_the_suffix(tmp_path):
    with pytest.raises(
        UsageError,
        match=r'dataset lists no images that end in \.tif; check img_suffix',
    ):
        check(**scenes(tmp_path, img_suffix='.tif'))
    write(tmp_path / 'classes', 'a/b.gif')
    with pytest.raises(UsageError, match='Found 0 files .*docs/data.md'):
        check(type=CLS, data_root=str(tmp_path / 'classes'))


@pytest.mark.parametrize('read, decoded', [(5, 4), (4, 3), (6, 4)])
def test_some_of_many_files_are_read(tmp_path, monkeypatch, read, decoded):
    monkeypatch.setattr(before_run, 'MOST_FILES', read)
    monkeypatch.setattr(before_run, 'MOST_DECODED', decoded)
    assert check(**scenes(tmp_path, number=7)) == []


@pytest.mark.parametrize('name', ['img/2.jpg', 'ann/2.png'])
def test_broken_files_of_scenes(tmp_path, name):
    dataset = scenes(tmp_path)
    assert check(**dataset) == []
    truncate(tmp_path / name)
    with pytest.raises(
        UsageError,
        match=rf'^train_dataloader.dataset: {tmp_path}/{name} is truncated: '
        r'it is a \w+ without its end; copy broken files again.*mmdavpt check',
    ):
        check(**dataset)
    (tmp_path / name).unlink()
    if name == 'ann/2.png':
        with pytest.raises(UsageError, match='ann/2.png does not exist'):
            check(**dataset)
        # Labels that are not read do not count.
        check(**{**dataset, 'pipeline': dataset['pipeline'][:1]})
    wrapped = dict(type='ConcatDataset', datasets=[dataset, dataset])
    (tmp_path / 'img/3.jpg').write_bytes(b'')
    (tmp_path / name).write_bytes((tmp_path / 'ann/0.png').read_bytes())
    with pytest.raises(UsageError, match='dataset.datasets.0: .*/3.jpg'):
        check(**wrapped)


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_labels_of_pixels(tmp_path, split):
    dataset = scenes(tmp_path, classes=3)
    label(tmp_path / 'ann/1.png', [[3, 255] * 6] * 8)
    with pytest.raises(
        UsageError,
        match=rf'^{split}_dataloader.dataset: the labels of 1 file .{tmp_path}'
        '/ann/1.png. should be from 0 to 2, for 3 .* 48 pixels have 3',
    ):
        check(split, **dataset)
    dataset['reduce_zero_label'] = True
    assert check(split, **dataset) == []
    label(tmp_path / 'ann/1.png', [[4, 255] * 6] * 8)
    with pytest.raises(
        UsageError,
        match='have 3; .*or reduce_zero_label; the files have 0, 1, 2, 4,',
    ):
        check(split, **dataset)


def test_transposed_labels(tmp_path):
    dataset = scenes(tmp_path, classes=3)
    label(tmp_path / 'ann/1.png', [[0] * 8] * 12)
    with pytest.raises(UsageError, match='8×12 pixels, but its image .*12×8'):
        check(**dataset)


def test_number_of_classes_of_the_last_head(tmp_path):
    dataset = scenes(tmp_path, classes=4)
    del dataset['metainfo']
    cfg = config(**dataset)
    heads = [dict(num_classes=9), dict(num_classes=4, ignore_index=3)]
    cfg['model'] = dict(decode_head=heads)
    assert check_run_data(cfg, training=True) == []
    heads[1]['num_classes'] = 2
    with pytest.raises(UsageError, match='for 2 classes, or 3 where'):
        check_run_data(cfg, training=True)


def test_some_annotations_of_many_are_decoded(tmp_path, monkeypatch):
    dataset = scenes(tmp_path, number=9)
    monkeypatch.setattr(before_run, 'MOST_DECODED', 3)
    label(tmp_path / 'ann/1.png', [[9, 0, 1] * 4] * 8)
    assert check(**dataset) == []
    label(tmp_path / 'ann/8.png', [[9, 0, 1] * 4] * 8)
    with pytest.raises(UsageError, match='/8.png. should'):
        check(**dataset)


def test_headers_of_all_labels_are_compared(tmp_path, monkeypatch):
    dataset = scenes(tmp_path, number=9)
    monkeypatch.setattr(before_run, 'MOST_DECODED', 2)
    monkeypatch.setattr(before_run, 'MOST_LABELS', 2)
    label(tmp_path / 'ann/4.png', [[0] * 8] * 12)
    with pytest.raises(UsageError, match='4.png has 8×12 pixels, but its ima'):
        check(**dataset)


def test_more_labels_are_decoded_to_find_a_class(tmp_path, monkeypatch):
    dataset = scenes(tmp_path, number=30)
    monkeypatch.setattr(before_run, 'MOST_DECODED', 2)
    for k in range(30):
        label(tmp_path / f'ann/{k}.png', [[0, 1] * 6] * 8)
    (note,) = check(**dataset)
    assert 'no pixel in 30 label files has the class 2 (2)' in note
    monkeypatch.setattr(before_run, 'MOST_LABELS', 24)  # 8 for each class
    (note,) = check(**dataset)
    assert 'no pixel in 24 of 30 label files has the class 2 (2)' in note
    monkeypatch.setattr(before_run, 'MOST_LABELS', 23)
    assert check(**dataset) == []
    label(tmp_path / 'ann/29.png', [[2, 1] * 6] * 8)
    assert check(**dataset) == []


def test_evenly_spread():
    assert evenly_spread(3, 5) == evenly_spread(3, 3) == [0, 1, 2]
    assert evenly_spread(9, 3) == [0, 4, 8]
    chosen = evenly_spread(20210, 64)
    assert len(set(chosen)) == 64 and chosen[-1] == 20209
    assert evenly_spread(0, 5) == []


def test_lists_of_images(tmp_path):
    dataset = listed_images(tmp_path, {'a.jpg': 0, 'sub/b.png': 2})
    assert check(**dataset) == []
    cfg = {**config(**dataset), 'model': dict(head=dict(num_classes=2))}
    with pytest.raises(
        UsageError,
        match=f'of 1 file .{tmp_path}/sub/b.png. should be from 0 to 1, for 2 '
        'classes, but 1 images have 2',
    ):
        check_run_data(cfg, training=True)
    truncate(tmp_path / 'sub/b.png')
    (tmp_path / 'a.jpg').unlink()
    with pytest.raises(UsageError, match='line 1 names .*a.jpg, which does'):
        check(**dataset)
    for content, message in (
        ('a.jpg apple', 'list.txt, line 1 ends in .apple., which'),
        ('', 'lists no images'),
    ):
        (tmp_path / 'list.txt').write_text(content)
        with pytest.raises(UsageError, match=message):
            check(**dataset)


def test_class_folder_without_images(tmp_path):
    write(tmp_path, 'cat/a.jpg', 'dog/deep/a.jpg', 'eel/a.txt')
    dataset = dict(type=CLS, data_root=str(tmp_path), pipeline=[])
    for split in ('train', 'val'):
        (note,) = check(split, **dataset)
        assert 'no image has the class eel (2)' in note
    assert check(**dataset, with_label=False) == []
    write(tmp_path, 'list.txt', content='cat/a.jpg 0')
    assert check(**dataset, ann_file='list.txt') == []


def test_defects_of_test_data_only_warn_before_a_training(tmp_path):
    cfg = {
        **config(**scenes(tmp_path / 'train')),
        **config('test', **scenes(tmp_path / 'test')),
    }
    assert check_run_data(cfg, training=True) == []
    truncate(tmp_path / 'test/img/1.jpg')
    (warning,) = check_run_data(cfg, training=True)
    assert 'test_dataloader.dataset: ' in warning and 'truncated' in warning
    with pytest.raises(UsageError, match='1.jpg is truncated'):
        check_run_data(cfg, training=False)


def test_readers_of_this_package(tmp_path):
    for part in ('train', 'val', 'test'):
        entries = {f'images/{part}{k}.jpg': k for k in (4, 7)}
        (tmp_path / f'{part}.json').write_text(json.dumps(entries))
        write(tmp_path, *entries)
    dataset = dict(
        type='mmdavpt.FGVC',
        name='cub',
        split='train',
        data_root=str(tmp_path),
        pipeline=[],
    )
    with pytest.raises(UsageError, match='^train_dataloader.dataset: .*5394'):
        check(**dataset)
    dataset['check_size'] = False
    check(**dataset)
    write(tmp_path, 'images/train7.jpg', content='')
    with pytest.raises(UsageError, match='train7.jpg is empty'):
        check(**dataset)
