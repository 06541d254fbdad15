"""``mmdavpt check_data`` decodes all samples; each defect is a line."""

import pytest

from mmdavpt.cli.check_data import check_all
from tests.test_checks.test_data.data_files import (
    label,
    listed_images,
    scenes,
    truncate,
    write,
)

SPLITS = ('train', 'val', 'test')


@pytest.fixture
def cfg(tmp_path):
    """Two splits of scenes, and a third with the files of the second."""
    val = dict(dataset=scenes(tmp_path / 'val'))
    return dict(
        default_scope='mmseg',
        train_dataloader=dict(dataset=scenes(tmp_path / 'train', number=40)),
        val_dataloader=val,
        test_dataloader=val,
    )


def test_every_defect_of_every_split(cfg, tmp_path):
    assert check_all(cfg, SPLITS) == (
        [],
        [
            'train: 40 images and 40 annotations, no defect',
            'val: 4 images and 4 annotations, no defect',
            'test: the files of val',
        ],
    )
    truncate(tmp_path / 'train/img/39.jpg')
    (tmp_path / 'train/img/4.jpg').write_bytes(b'')
    label(tmp_path / 'val/ann/0.png', [[0, 200, 1], [1, 1, 1]])
    train, val = (str(tmp_path / split) for split in ('train', 'val'))
    defects, summary = check_all(cfg, SPLITS)
    assert sorted(defects) == [
        f'train: {train}/img/39.jpg is truncated: it is a JPEG without its '
        'end',
        f'train: {train}/img/4.jpg is empty (0 bytes)',
        f'val: {val}/ann/0.png has 3×2 pixels, but its image '
        f'{val}/img/0.jpg has 12×8',
        f'val: {val}/ann/0.png has the label 200, but there are 3 classes, '
        'with labels from 0 to 2, and 255 is ignored',
    ]
    assert summary[1].endswith(', 2 defects')


def test_datasets_without_files(cfg):
    cfg['train_dataloader']['dataset']['data_root'] = '/nowhere'
    cfg['val_dataloader'] = dict(dataset=dict(type='NoSuchDataset'))
    cfg['test_dataloader'] = dict(
        dataset=dict(
            type='mmdavpt.GlyphDataset',
            chars='AB',
            faces='latin_train',
            num_images=3,
            pipeline=[],
        )
    )
    defects, summary = check_all(cfg, SPLITS)
    assert 'train: train_dataloader.dataset cannot be read: ' in defects[0]
    assert 'NoSuchDataset is not in' in defects[1]
    assert len(defects) == 2
    assert summary == [
        'train: not checked',
        'val: not checked',
        'test: no image files to check, no defect',
    ]


def test_wrappers_lists_and_class_folders(tmp_path):
    first = listed_images(tmp_path / 'a', {'a.jpg': 0, 'b.jpg': 5})
    first['metainfo'] = dict(classes=('cat', 'dog'))
    write(tmp_path / 'b', 'cat/c.jpg')
    (tmp_path / 'b/dog').mkdir()
    second = dict(type='CustomDataset', data_root=str(tmp_path / 'b'))
    wrapped = dict(
        type='ConcatDataset',
        datasets=[
            first,
            dict(
                type='RepeatDataset',
                dataset=dict(second, pipeline=[]),
                times=2,
            ),
        ],
    )
    cfg = dict(
        default_scope='mmpretrain',
        model=dict(head=dict(num_classes=2)),
        train_dataloader=dict(dataset=wrapped),
    )
    defects, _ = check_all(cfg, ['train'])
    path = 'train_dataloader.dataset.datasets'
    assert defects[0].startswith(f'{path}.0: {tmp_path}/a/b.jpg has the lab')
    assert defects[1].startswith(f'{path}.1.dataset: takes each folder')
