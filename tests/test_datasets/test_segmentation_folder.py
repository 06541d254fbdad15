"""Folders of images and masks: each image has its mask, or is named."""

import os
import unicodedata

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.datasets import BaseSegDataset
from mmseg.evaluation import IoUMetric
from PIL import Image

from mmdavpt.datasets import SegmentationFolder
from mmdavpt.datasets.folders import palette
from mmdavpt.errors import UsageError

CLASSES = dict(classes=['paper', 'ink'])


def draw(path, value=90, mode='RGB', size=(5, 4), **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('L', size, value).convert(mode).save(path, **kwargs)


def pairs(dataset):
    return {
        os.path.relpath(info['img_path'], dataset.data_root): os.path.relpath(
            info['seg_map_path'], dataset.data_root
        )
        for info in map(dataset.get_data_info, range(len(dataset)))
    }


@pytest.fixture
def root(tmp_path):
    for k, name in enumerate('ab'):
        draw(tmp_path / 'images' / f'{name}.jpg')
        draw(tmp_path / 'labels' / f'{name}.png', k * 255, 'L')
    return tmp_path


def test_partners_of_any_format(root):
    draw(root / 'images' / 'c.d.JPEG')
    draw(root / 'labels' / 'c.d.PNG', mode='P')
    draw(root / 'images' / 'sub' / 'a.webp')
    draw(root / 'labels' / 'sub' / 'a.tif', mode='I;16')
    composed, taken_apart = (
        unicodedata.normalize(form, 'é') for form in ('NFC', 'NFD')
    )
    draw(root / 'images' / f'{composed}.bmp')
    draw(root / 'labels' / f'{taken_apart}.gif', mode='L')
    dataset = SegmentationFolder(str(root), metainfo=CLASSES)
    assert pairs(dataset) == {
        'images/a.jpg': 'labels/a.png',
        'images/b.jpg': 'labels/b.png',
        'images/c.d.JPEG': 'labels/c.d.PNG',
        'images/sub/a.webp': 'labels/sub/a.tif',
        f'images/{composed}.bmp': f'labels/{taken_apart}.gif',
    }
    assert dataset.skipped == {}


def test_equals_mmsegmentation(root):
    kwargs = dict(
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=CLASSES | dict(palette=[[0, 0, 0], [1, 2, 3]]),
        reduce_zero_label=True,
    )
    expected = BaseSegDataset(**kwargs)
    found = SegmentationFolder(**kwargs)
    assert [*map(found.get_data_info, range(2))] == [
        *map(expected.get_data_info, range(2))
    ]
    assert found.metainfo == expected.metainfo | CLASSES | dict(
        classes=('paper', 'ink')
    )


def test_masks_of_0_and_255_are_scored_as_two_classes(root):
    """Row 4: the mapped masks have the right pixels of each class."""
    cfg = Config(
        dict(
            type='mmdavpt.SegmentationFolder',
            data_root=str(root),
            metainfo=CLASSES,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='mmdavpt.LoadMasks', value_map={0: 0, 255: 1}),
                dict(type='mmseg.PackSegInputs'),
            ],
        )
    )
    from mmseg.registry import DATASETS

    dataset = DATASETS.build(cfg)
    metric = IoUMetric(iou_metrics=['mIoU'])
    metric.dataset_meta = dataset.metainfo
    for i in range(2):
        sample = dataset[i]['data_samples']
        labels = sample.gt_sem_seg.data
        assert labels.unique().tolist() == [i]
        sample.pred_sem_seg = PixelData(data=0 * labels)
        metric.process({}, [sample.to_dict()])
    results = metric.evaluate(2)
    assert (results['aAcc'], results['mIoU']) == (50, 25)


def test_skipped_files_are_named(root):
    draw(root / 'labels' / 'free.png')
    for name in ('images/.DS_Store', 'images/list.csv', 'labels/a.json'):
        (root / name).write_text('{}')
    dataset = SegmentationFolder(str(root), metainfo=CLASSES)
    assert len(dataset) == 2
    assert dataset.skipped == {
        'hidden': [f'{root}/images/.DS_Store'],
        'in no format that cv2 reads': [f'{root}/images/list.csv'],
        'in no format that pillow reads': [f'{root}/labels/a.json'],
        'masks without an image': [f'{root}/labels/free.png'],
    }


def test_suffixes(tmp_path):
    """As in Cityscapes, whose folders also hold other files."""
    for city in ('aachen', 'bonn'):
        for name in ('images/{}/{}_1_leftImg8bit.png',):
            draw(tmp_path / name.format(city, city))
        for part in ('color', 'labelIds'):
            draw(tmp_path / f'labels/{city}/{city}_1_gtFine_{part}.png')
    with pytest.raises(
        UsageError,
        match='2 of 2 images have no mask: .*aachen_1_leftImg8bit.png needs '
        r'aachen/aachen_1_leftImg8bit\.\* in .*labels, which has 4 \(such '
        'as aachen_1_gtFine_color.png.*; set img_suffix or seg_map_suffix',
    ):
        SegmentationFolder(str(tmp_path), metainfo=CLASSES)
    dataset = SegmentationFolder(
        str(tmp_path),
        metainfo=CLASSES,
        img_suffix='_leftImg8bit',
        seg_map_suffix='_gtFine_labelIds',
    )
    assert pairs(dataset) == {
        f'images/{c}/{c}_1_leftImg8bit.png': (
            f'labels/{c}/{c}_1_gtFine_labelIds.png'
        )
        for c in ('aachen', 'bonn')
    }
    [reason] = dataset.skipped
    assert reason == "without '_gtFine_labelIds' in the name"


def test_missing_and_ambiguous_partners(root):
    draw(root / 'images' / 'c.jpg')
    with pytest.raises(
        UsageError, match=r'1 of 3 .*images/c.jpg needs c\.\* in .*labels$'
    ):
        SegmentationFolder(str(root), metainfo=CLASSES)
    draw(root / 'images' / 'c.png')
    with pytest.raises(UsageError, match=r'c\.jpg and .*c\.png have one name'):
        SegmentationFolder(str(root), metainfo=CLASSES)


def test_masks_in_no_readable_format(tmp_path):
    draw(tmp_path / 'images' / 'a.jpg')
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / 'a.json').write_text('{}')
    with pytest.raises(
        UsageError,
        match='labels should have images, but has none; not used: in no '
        'format that pillow reads: a.json',
    ):
        SegmentationFolder(str(tmp_path), metainfo=CLASSES)
    with pytest.raises(UsageError, match='nowhere.* cannot be read'):
        SegmentationFolder(str(tmp_path / 'nowhere'), metainfo=CLASSES)


def test_lists(root):
    draw(root / 'images' / 'my sub' / 'c.jpg')
    draw(root / 'labels' / 'my sub' / 'c.png')
    path = root / 'list.txt'
    path.write_bytes(b'\xef\xbb\xbfmy sub/c\r\n\r\nb.jpg\r\n')
    dataset = SegmentationFolder(
        str(root), ann_file='list.txt', metainfo=CLASSES
    )
    assert pairs(dataset) == {
        'images/my sub/c.jpg': 'labels/my sub/c.png',
        'images/b.jpg': 'labels/b.png',
    }
    for text, message in (
        ('a\nmy sub/d\n', "line 2: 'my sub/d' .*mean 'my sub/c'"),
        ('a\n\na.jpg\n', 'line 3: a.jpg is listed before, in .*line 1'),
        ('', 'is empty'),
    ):
        path.write_text(text)
        with pytest.raises(UsageError, match=f'list.txt.*{message}'):
            SegmentationFolder(
                str(root), ann_file='list.txt', metainfo=CLASSES
            )


def test_images_without_masks(root):
    kwargs = dict(data_prefix=dict(img_path='images'), metainfo=CLASSES)
    dataset = SegmentationFolder(str(root), test_mode=True, **kwargs)
    assert 'seg_map_path' not in dataset[0]
    kwargs['data_prefix']['seg_map_path'] = 'missing'
    with pytest.raises(UsageError, match='missing cannot be read'):
        SegmentationFolder(str(root), test_mode=True, **kwargs)


def test_classes_that_are_one_text(root):
    """Row 10."""
    with pytest.raises(UsageError, match=r"'red'.*as in classes=\['red'\]"):
        SegmentationFolder(str(root), metainfo=dict(classes=('red')))
    (root / 'classes.txt').write_text('paper\ntraffic light\n\n')
    dataset = SegmentationFolder(
        str(root), metainfo=dict(classes=str(root / 'classes.txt'))
    )
    assert dataset.metainfo['classes'] == ('paper', 'traffic light')


def test_colors_of_classes_differ(root):
    dataset = SegmentationFolder(str(root), metainfo=CLASSES)
    assert dataset.metainfo['palette'] == palette(2)
    colors = np.array(palette(150), int)
    assert colors.min() >= 0 and colors.max() <= 255
    assert colors.shape == (150, 3)
    assert len(np.unique(colors, axis=0)) == 150
    apart = np.abs(colors[:20, None] - colors[:20]).sum(-1)
    assert apart[~np.eye(20, dtype=bool)].min() > 40
