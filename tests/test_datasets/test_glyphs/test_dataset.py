"""Glyph datasets: labels, order, pipelines, errors."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS as ROOT
from mmengine.registry import DefaultScope
from mmpretrain.datasets import CIFAR10
from torch.utils.data import DataLoader

from mmdavpt.datasets import GlyphDataset, GlyphSceneDataset
from mmdavpt.datasets.glyphs.alphabets import ALPHABETS, FACES
from mmdavpt.datasets.glyphs.dataset import (
    SCENE_CLASSES,
    SCENE_METAINFO,
)
from mmdavpt.datasets.glyphs.rendering import render_scene


def glyphs(**kwargs):
    return GlyphDataset(
        **{
            **dict(chars='latin', faces='latin_train', num_images=130),
            **kwargs,
        }
    )


def scenes(**kwargs):
    return GlyphSceneDataset(
        **{**dict(faces='latin_train', num_images=6), **kwargs}
    )


def test_labels_are_balanced_and_need_no_drawing(monkeypatch):
    dataset = glyphs(num_images=124)
    monkeypatch.setattr('mmdavpt.datasets.glyphs.dataset.render_glyph', None)
    labels = dataset.get_gt_labels()
    assert np.bincount(labels).tolist() == [2] * 62
    assert [dataset.get_cat_ids(i) for i in (0, 61, 62)] == [[0], [61], [0]]
    assert dataset.metainfo['classes'] == tuple(ALPHABETS['latin'])


def test_images_are_independent_of_access_order():
    dataset = glyphs()
    forwards = [dataset[i]['img'] for i in range(5)]
    other = glyphs(num_images=70)
    backwards = [other[i]['img'] for i in reversed(range(5))][::-1]
    assert all(map(np.array_equal, forwards, backwards))
    assert not any(
        np.array_equal(a, b)
        for a, b in zip(
            forwards, (glyphs(seed=1)[i]['img'] for i in range(5)), strict=True
        )
    )


def test_subset():
    complete, part = glyphs(), glyphs(indices=[70, 3])
    for ours, index in zip((part[0], part[1]), (70, 3), strict=True):
        assert ours['gt_label'] == index % 62
        assert np.array_equal(ours['img'], complete[index]['img'])


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmseg'])
def test_build_from_both_scopes(scope):
    with DefaultScope.overwrite_default_scope(scope):
        dataset = ROOT.build(
            dict(
                type='mmdavpt.GlyphDataset',
                chars='AB',
                faces='latin_test',
                num_images=3,
            )
        )
        scene = ROOT.build(
            dict(
                type='mmdavpt.GlyphSceneDataset',
                faces='latin_test',
                num_images=1,
            )
        )
    assert type(dataset) is GlyphDataset and len(dataset) == 3
    assert type(scene) is GlyphSceneDataset and len(scene) == 1


def test_pipeline_and_workers():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = glyphs(
            pipeline=[
                dict(type='RandomCrop', crop_size=48, padding=4),
                dict(type='PackInputs'),
            ],
            num_images=4,
        )
    copy = pickle.loads(pickle.dumps(dataset))
    plain = glyphs(num_images=4)
    assert np.array_equal(copy.get_data_info(1)['img'], plain[1]['img'])
    seen = list(DataLoader(copy, batch_size=2, num_workers=1, collate_fn=list))
    assert len(seen) == 2
    for i, item in enumerate(sum(seen, [])):
        assert item['inputs'].shape == (3, 48, 48)
        assert item['inputs'].dtype == torch.uint8
        assert item['data_samples'].gt_label.tolist() == [i]


def test_replace_class_names():
    named = glyphs(chars='01', metainfo=dict(classes=('zero', 'one'), year=1))
    assert named.metainfo == dict(classes=('zero', 'one'), year=1)
    with pytest.raises(ValueError, match='name 2 classes.* but got 3'):
        glyphs(
            chars='01', metainfo=dict(classes=CIFAR10.METAINFO['classes'][:3])
        )


@pytest.mark.parametrize(
    'changes, sentence',
    [
        (dict(faces='serif'), "one of .*'latin_test'.*but got 'serif'"),
        (dict(faces=[]), 'a list of font names'),
        (dict(chars='greek_cyrillic'), "'cmr10' lacks the characters"),
        (dict(style='smooth'), "but got 'smooth'"),
    ],
)
def test_report_bad_arguments_of_glyphs(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        glyphs(**changes)


def test_named_faces_have_their_alphabets():
    for name, faces in FACES.items():
        glyphs(
            chars='latin' if 'latin' in name else 'greek_cyrillic',
            faces=name,
            num_images=1,
        )
        glyphs(faces=faces[:1], chars='AB', num_images=1)


def test_scenes_equal_loading_with_reduce_zero_label():
    dataset = scenes(size=(40, 64), seed=4, style='rough')
    for i in (3, 0):
        image, annotation = render_scene(
            ALPHABETS['latin_upper'],
            dataset.faces,
            (4, i),
            (40, 64),
            dataset.style,
        )
        item = dataset[i]
        assert np.array_equal(item['img'], image)
        expected = np.where(annotation == 0, 255, annotation.astype(int) - 1)
        assert np.array_equal(item['gt_seg_map'], expected)
        assert item['gt_seg_map'].dtype == np.uint8
        assert item['seg_fields'] == ['gt_seg_map']
        assert item['img_shape'] == item['ori_shape'] == (40, 64)


def test_renumber_selected_classes_and_ignore_others():
    complete = scenes()
    names = ('Z', 'background', 'C')
    part = scenes(metainfo=dict(classes=names))
    assert part.metainfo['classes'] == names
    old = [SCENE_CLASSES.index(name) for name in names]
    for i in range(6):
        before, after = complete[i]['gt_seg_map'], part[i]['gt_seg_map']
        for new, k in enumerate(old):
            assert np.array_equal(before == k, after == new)
        assert np.array_equal(after == 255, ~np.isin(before, old))


def test_scene_classes_have_distinct_colors():
    assert len(SCENE_CLASSES) == 27 and SCENE_CLASSES[0] == 'background'
    palette = np.array(SCENE_METAINFO['palette'])
    assert palette.shape == (27, 3) and 0 <= palette.min() <= 255
    distance = np.abs(palette[:, None] - palette).sum(-1) + 999 * np.eye(27)
    assert distance.min() > 50
