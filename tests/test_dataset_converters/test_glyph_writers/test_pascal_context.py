"""Glyph scenes in the layout of PASCAL Context."""

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from mmseg.datasets import PascalContextDataset, PascalContextDataset59

from mmdavpt.datasets import GlyphSceneDataset
from tools.dataset_converters.glyph_writers import write_scenes_pascal_context

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def write(root, split='train', num_images=3, **kwargs):
    kwargs.setdefault('size', (40, 56))
    return write_scenes_pascal_context(root, split, num_images, **kwargs)


def read(root, split='train', reader=PascalContextDataset, **kwargs):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return reader(
            data_root=str(root),
            data_prefix=dict(
                img_path='JPEGImages', seg_map_path='SegmentationClassContext'
            ),
            ann_file=f'ImageSets/SegmentationContext/{split}.txt',
            pipeline=LOAD,
            **kwargs,
        )


@pytest.mark.parametrize(
    'split, faces', [('train', 'latin_train'), ('val', 'latin_test')]
)
def test_labels_equal_drawn_scenes(tmp_path, split, faces):
    for each in ('train', 'val'):
        write(tmp_path, each, seed=5, img_suffix='.png')
    with_background = read(tmp_path, split, img_suffix='.png')
    without = read(tmp_path, split, PascalContextDataset59, img_suffix='.png')
    drawn = GlyphSceneDataset(faces, 3, seed=5, size=(40, 56))
    assert len(with_background) == len(without) == 3
    assert len(with_background.metainfo['classes']) == 60
    for i in range(3):
        # On the fly, 0 is the paper, 1 to 26 the letters, 255 is ignored.
        expected = drawn[i]['gt_seg_map']
        assert {0, 255} < set(np.unique(expected)) <= {*range(27), 255}
        assert np.array_equal(with_background[i]['img'], drawn[i]['img'])
        assert np.array_equal(with_background[i]['gt_seg_map'], expected)
        # Without the background, letters count from 0.
        found = without[i]['gt_seg_map']
        letters = (expected > 0) & (expected < 255)
        assert np.array_equal(found[letters], expected[letters] - 1)
        assert (found[~letters] == 255).all()


def test_layout_of_voc2010(tmp_path):
    assert write(tmp_path, 'train', 2) == 2
    assert write(tmp_path, 'val', 1) == 1
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob('*.*')}
    assert found == {
        'glyph_scenes.json',
        'ImageSets/SegmentationContext/train.txt',
        'ImageSets/SegmentationContext/val.txt',
        *(
            f'{folder}/{name}.{suffix}'
            for folder, suffix in (
                ('JPEGImages', 'jpg'),
                ('SegmentationClassContext', 'png'),
            )
            for name in ('train_000000', 'train_000001', 'val_000000')
        ),
    }
    names = tmp_path / 'ImageSets' / 'SegmentationContext' / 'train.txt'
    assert names.read_text() == 'train_000000\ntrain_000001\n'


def test_resume_next_to_the_other_split(tmp_path):
    write(tmp_path, 'train', 3)
    write(tmp_path, 'val', 1)
    (tmp_path / 'JPEGImages' / 'val_000001.jpg.1.tmp').write_bytes(b'half')
    write(tmp_path, 'val', 2)
    kept = tmp_path / 'JPEGImages' / 'train_000000.jpg'
    before = kept.stat().st_mtime_ns
    (tmp_path / 'SegmentationClassContext' / 'train_000001.png').unlink()
    assert write(tmp_path, 'train', 4) == 2
    assert write(tmp_path, 'val', 2) == 0
    assert kept.stat().st_mtime_ns == before
    assert len(read(tmp_path)) == 4 and len(read(tmp_path, 'val')) == 2
    assert not list(tmp_path.rglob('*.tmp'))


@pytest.mark.parametrize(
    'name',
    [
        'JPEGImages/2008_000002.jpg',
        'ImageSets/SegmentationContext/train.txt',
    ],
)
@pytest.mark.parametrize('after', [False, True])
def test_reject_folders_with_real_data(tmp_path, name, after):
    if after:
        write(tmp_path, 'val')
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b'real')
    named = name if after else name.split('/')[0]
    with pytest.raises(ValueError, match=f'{named} exists'):
        write(tmp_path)
    assert (tmp_path / name).read_bytes() == b'real'
    assert (tmp_path / 'glyph_scenes.json').exists() == after


def test_reject_other_settings_or_splits(tmp_path):
    write(tmp_path, 'train', 2)
    with pytest.raises(ValueError, match='train images drawn with'):
        write(tmp_path, 'train', 2, style='rough')
    with pytest.raises(ValueError, match='1 more images of train than the 1'):
        write(tmp_path, 'train', 1)
    with pytest.raises(ValueError, match=r"one of \['train', 'val'\]"):
        write(tmp_path, 'test')
