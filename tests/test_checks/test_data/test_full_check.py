"""All samples of all splits are decoded, and each defect is a line."""

import pytest

from mmdavpt.checks.data.full_check import check_all

from .data_files import label, listed_images, scenes, truncate


@pytest.fixture
def cfg(tmp_path):
    """Two splits of scenes, with a third that has the files of the second."""
    loaders = [
        dict(dataset=scenes(tmp_path / 'train', number=40)),
        dict(dataset=scenes(tmp_path / 'val')),
    ]
    return dict(
        default_scope='mmseg',
        train_dataloader=loaders[0],
        val_dataloader=loaders[1],
        test_dataloader=loaders[1],
    )


def lines(reports):
    return [line for report in reports for line in report.lines()]


SPLITS = ('train', 'val', 'test')


@pytest.mark.parametrize('workers', [0, 2])
def test_every_defect_of_every_split(cfg, tmp_path, workers):
    reports = check_all(cfg, SPLITS, workers)
    assert lines(reports) == []
    assert [r.summary() for r in reports] == [
        'train: 40 images and 40 annotations, no defect',
        'val: 4 images and 4 annotations, no defect',
        'test: the files of val',
    ]
    truncate(tmp_path / 'train/img/39.jpg')
    (tmp_path / 'train/img/4.jpg').write_bytes(b'')
    label(tmp_path / 'val/ann/0.png', [[0, 200, 1], [1, 1, 1]])
    reports = check_all(cfg, SPLITS, workers)
    train, val = (str(tmp_path / split) for split in ('train', 'val'))
    assert lines(reports) == [
        f'train: {train}/img/39.jpg is truncated: it is a JPEG without its '
        'end',
        f'train: {train}/img/4.jpg is empty (0 bytes)',
        f'val: {val}/ann/0.png has the label 200, but there are 3 classes, '
        'with labels from 0 to 2, and 255 is ignored',
        f'val: {val}/ann/0.png has 3×2 pixels, but its image '
        f'{val}/img/0.jpg has 12×8',
    ]
    assert [r.number for r in reports] == [2, 2, 0]
    assert reports[1].summary().endswith(', 2 defects')
    assert check_all(cfg, ['test'], workers)[0].number == 2


def test_datasets_that_cannot_be_looked_into(cfg, tmp_path):
    cfg['train_dataloader']['dataset']['data_root'] = '/nowhere'
    cfg['val_dataloader'] = dict(dataset=dict(type='NoSuchDataset'))
    cfg['test_dataloader'] = dict(
        dataset=dict(
            type='mmdavpt.GlyphDataset',
            chars='AB',
            faces='latin_train',
            num_images=3,
        )
    )
    reports = check_all(cfg, SPLITS)
    assert (
        'train: train_dataloader.dataset reads /nowhere, which'
        in (lines(reports)[0])
    )
    assert "its type is 'NoSuchDataset'" in lines(reports)[1]
    assert [r.number for r in reports] == [1, 1, 0]
    assert reports[0].summary() == 'train: no image files to check, 1 defect'
    del cfg['train_dataloader']
    assert [r.name for r in check_all(cfg, SPLITS)] == ['val', 'test']


def test_wrappers_and_lists(tmp_path):
    first = listed_images(tmp_path / 'a', {'a.jpg': 0, 'b.jpg': 5})
    second = listed_images(tmp_path / 'b', {'c.jpg': 0})
    (tmp_path / 'b/c.jpg').unlink()
    wrapped = dict(
        type='ConcatDataset', datasets=[first, dict(dataset=second, times=2)]
    )
    reports = check_all(
        dict(
            default_scope='mmpretrain',
            model=dict(head=dict(num_classes=2)),
            train_dataloader=dict(dataset=wrapped),
        ),
        ['train'],
    )
    path = 'train_dataloader.dataset.datasets'
    assert lines(reports) == [
        f'{path}.0: {tmp_path}/a/b.jpg has the label 5, but there are 2 '
        'classes, with labels from 0 to 1',
        f'{path}.1.dataset: {tmp_path}/b/c.jpg does not exist',
    ]


def test_a_class_without_images_is_a_defect(tmp_path):
    listed_images(tmp_path, {'cat/a.jpg': 0})
    (tmp_path / 'dog').mkdir()
    dataset = dict(type='CustomDataset', data_root=str(tmp_path))
    cfg = dict(
        default_scope='mmpretrain', train_dataloader=dict(dataset=dataset)
    )
    (report,) = check_all(cfg, ['train'])
    assert report.number == report.images == 1
    assert 'but dog has no image' in report.lines()[0]
