"""Glyph scenes in the layout of ADE20K."""

import json
import os.path as osp

import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmseg.datasets import ADE20KDataset

from mmdavpt.datasets import GlyphADE20KDataset, GlyphSceneDataset
from mmdavpt.datasets.glyphs.dataset import SCENE_CLASSES
from tools.dataset_converters.glyph_writers import write_scenes_ade20k
from tools.dataset_converters.glyph_writers.scenes import SETTINGS_FILE

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


def read(root, split='training', reader=GlyphADE20KDataset, **kwargs):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return reader(
            data_root=str(root),
            data_prefix=dict(
                img_path=f'images/{split}', seg_map_path=f'annotations/{split}'
            ),
            pipeline=LOAD,
            **kwargs,
        )


@pytest.mark.parametrize(
    'split, faces', [('training', 'latin_train'), ('validation', 'latin_test')]
)
@pytest.mark.parametrize('num_workers', [0, 2])
def test_png_scenes_equal_those_drawn_on_the_fly(
    tmp_path, split, faces, num_workers
):
    made = write_scenes_ade20k(
        tmp_path,
        split,
        4,
        seed=5,
        size=(40, 56),
        style='rough',
        img_suffix='.png',
        num_workers=num_workers,
    )
    assert made == 4
    written = read(tmp_path, split, img_suffix='.png')
    drawn = GlyphSceneDataset(faces, 4, seed=5, size=(40, 56), style='rough')
    assert len(written) == 4
    for i in range(4):
        a, b = written[i], drawn[i]
        assert np.array_equal(a['img'], b['img'])
        assert np.array_equal(a['gt_seg_map'], b['gt_seg_map'])
        assert a['gt_seg_map'].dtype == b['gt_seg_map'].dtype
        assert a['img_shape'] == b['img_shape'] == (40, 56)
        assert osp.splitext(osp.basename(a['img_path']))[0] == b['img_path']


def test_mmsegmentation_reader_reads_scenes(tmp_path):
    write_scenes_ade20k(tmp_path, 'validation', 3, size=(96, 128))
    stock = read(tmp_path, 'validation', reader=ADE20KDataset)
    drawn = GlyphSceneDataset('latin_test', 3, size=(96, 128))
    assert len(stock) == 3
    for i in range(3):
        a, b = stock[i], drawn[i]
        assert np.array_equal(a['gt_seg_map'], b['gt_seg_map'])
        # JPEG at quality 95 is close, with the channels in their places.
        error = np.abs(a['img'].astype(int) - b['img'])
        assert error.mean() < 4
        assert (
            error.mean()
            < np.abs(a['img'][..., ::-1].astype(int) - b['img']).mean()
        )
    named = read(tmp_path, 'validation')
    assert named.metainfo['classes'] == SCENE_CLASSES


def test_png_and_jpeg_in_a_training_pipeline(tmp_path):
    write_scenes_ade20k(tmp_path, 'training', 1, img_suffix='.png')
    rest = [
        dict(type='RandomCrop', crop_size=(48, 48), cat_max_ratio=0.9),
        dict(type='RandomFlip', prob=1.0),
        dict(type='PackSegInputs'),
    ]
    with DefaultScope.overwrite_default_scope('mmseg'):
        pipeline = Compose(rest)
        packed = []
        for dataset in (
            read(tmp_path, img_suffix='.png'),
            GlyphSceneDataset('latin_train', 1),
        ):
            np.random.seed(0)
            packed.append(pipeline(dataset[0]))
    a, b = packed
    assert a['inputs'].shape == (3, 48, 48)
    assert (a['inputs'] == b['inputs']).all()
    assert (
        a['data_samples'].gt_sem_seg.data == b['data_samples'].gt_sem_seg.data
    ).all()


def test_resume(tmp_path):
    complete = tmp_path / 'complete'
    write_scenes_ade20k(complete, 'training', 5, size=(32, 32))
    parts = tmp_path / 'parts'
    assert write_scenes_ade20k(parts, 'training', 3, size=(32, 32)) == 3
    # As a stop, or a person, leaves it: files missing, one half written.
    images = parts / 'images' / 'training'
    (images / 'scene_000001.jpg').unlink()
    (parts / 'annotations' / 'training' / 'scene_000002.png').unlink()
    (images / 'scene_000003.jpg.1.tmp').write_bytes(b'half')
    kept = images / 'scene_000000.jpg'
    before = kept.stat().st_mtime_ns
    assert write_scenes_ade20k(parts, 'training', 5, size=(32, 32)) == 4
    assert write_scenes_ade20k(parts, 'training', 5, size=(32, 32)) == 0
    assert kept.stat().st_mtime_ns == before
    files = sorted(p.relative_to(complete) for p in complete.rglob('*.*'))
    assert files == sorted(p.relative_to(parts) for p in parts.rglob('*.*'))
    for name in files:
        assert (complete / name).read_bytes() == (parts / name).read_bytes()


@pytest.mark.parametrize(
    'changes, named',
    [
        (dict(seed=1), 'seed'),
        (dict(size=(32, 48)), 'size'),
        (dict(style='rough', seed=1), 'seed and style'),
        (dict(img_suffix='.png'), 'img_suffix'),
        (dict(faces='latin_test'), 'faces'),
    ],
)
def test_reject_other_settings(tmp_path, changes, named):
    write_scenes_ade20k(tmp_path, 'training', 1, size=(32, 32))
    with pytest.raises(ValueError, match=f'with another {named} '):
        write_scenes_ade20k(
            tmp_path, 'training', 1, **{**dict(size=(32, 32)), **changes}
        )


def test_splits_are_independent(tmp_path):
    write_scenes_ade20k(tmp_path, 'training', 1, size=(32, 32))
    write_scenes_ade20k(tmp_path, 'validation', 1, seed=1, size=(48, 32))
    settings = json.loads((tmp_path / SETTINGS_FILE).read_text())
    assert settings['training']['seed'] == 0
    assert settings['validation']['size'] == [48, 32]


@pytest.mark.parametrize('after', [False, True])
def test_reject_folders_with_other_files(tmp_path, after):
    if after:
        write_scenes_ade20k(tmp_path, 'validation', 1, size=(32, 32))
    photo = tmp_path / 'images' / 'training' / 'ADE_train_00000001.jpg'
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b'photo')
    named = 'ADE_train_00000001.jpg' if after else 'images'
    with pytest.raises(ValueError, match=f'{named} exists'):
        write_scenes_ade20k(tmp_path, 'training', 1)
    assert photo.read_bytes() == b'photo'
    assert len(list(photo.parent.iterdir())) == 1


def test_reject_fewer_scenes_than_exist(tmp_path):
    write_scenes_ade20k(tmp_path, 'training', 3, size=(32, 32))
    with pytest.raises(
        ValueError, match='2 more images of training than the 1'
    ):
        write_scenes_ade20k(tmp_path, 'training', 1, size=(32, 32))


@pytest.mark.parametrize(
    'changes, sentence',
    [
        (dict(split='train'), "one of .*'training'.* but got 'train'"),
        (dict(img_suffix='.bmp'), r"one of \['.jpg', '.png'\]"),
        (dict(num_images=0), 'num_images should be an integer of at least 1'),
        (
            dict(num_workers=-1),
            'num_workers should be an integer of at least 0',
        ),
        (dict(seed=-1), 'seed should be'),
        (dict(size=(96,)), 'height, width'),
    ],
)
def test_report_bad_arguments(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        write_scenes_ade20k(
            tmp_path, **{**dict(split='training', num_images=1), **changes}
        )
    assert not list(tmp_path.iterdir())
