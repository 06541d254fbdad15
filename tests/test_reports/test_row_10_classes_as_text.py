"""One text instead of a list of class names is rejected.

`classes=('red')` is the text 'red', and segmentation trained the classes r, e
and d [mmseg #3505].
"""

import pytest

from . import runs


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize('split', ['train', 'val', 'test'])
@pytest.mark.parametrize('task', ['cls', 'seg'])
def test_text_is_rejected(task, split, wrapped, tmp_path):
    make, data = dict(
        cls=(runs.classification, runs.photos),
        seg=(runs.segmentation, runs.masks),
    )[task]
    cfg = make(data(tmp_path / 'data'))
    loader = cfg[f'{split}_dataloader'] = dict(cfg[f'{split}_dataloader'])
    dataset = dict(loader['dataset'], metainfo=dict(classes=('red')))
    if wrapped:
        dataset = dict(type='ConcatDataset', datasets=[dataset])
    loader['dataset'] = dataset
    said = runs.sentence(cfg, training=split != 'test')
    assert "classes` is the text 'red', and no file has this name; " in said
    assert said.endswith("list the names, as in classes=['red']")


def test_argument_of_another_part(tmp_path):
    cfg = runs.segmentation(runs.masks(tmp_path / 'data'))
    cfg['visualizer'] = dict(
        type='SegLocalVisualizer', classes='red', palette=[[9, 9, 9]] * 3
    )
    assert "`visualizer.classes` is the text 'red'" in runs.sentence(cfg)


def test_file_of_names_is_accepted(tmp_path):
    cfg = runs.segmentation(runs.masks(tmp_path / 'data'))
    (tmp_path / 'names.txt').write_text('a\nb\nc\n')
    for split in ('train', 'val'):
        metainfo = dict(classes=str(tmp_path / 'names.txt'))
        cfg[f'{split}_dataloader']['dataset']['metainfo'] = metainfo
    assert runs.sentence(cfg) == ''
