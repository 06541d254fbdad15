"""Averaging one plain view changes no score, for every kind of head.

MMSegmentation's `SegTTAModel` applies a sigmoid to probabilities of heads
with one channel, which cost a SETR head with `out_channels=1` most of its
mIoU with `--tta` [mmseg #2201, #2206].
"""

import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.apis import MMSegInferencer
from mmseg.structures import SegDataSample
from PIL import Image

from mmdavpt.cli.evaluation import use_tta, write_predictions
from mmdavpt.engine.runner import DAVPTTestRunner
from mmdavpt.registry import MODELS

from . import runs

SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)
ONE = dict(out_channels=1, threshold=0.5, loss_decode=SIGMOID)
SLIDE = dict(mode='slide', crop_size=(24, 24), stride=(8, 8))


def scores_of(cfg, tta, out=None):
    """Return the scores of a test with random weights."""
    cfg = Config(copy.deepcopy(cfg))
    cfg.experiment_name += f'_{tta}_{out}'
    if out is not None:
        write_predictions(cfg, str(out))
    if tta:
        use_tta(cfg)
    runner = DAVPTTestRunner.from_cfg(cfg)
    model = runner.model.module if tta else runner.model
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn(value.shape, generator=generator) / 5)
    return runner.test()


def segmentation(folder, head, test_cfg, classes):
    cfg = runs.segmentation(
        runs.masks(folder / 'masks', values=range(len(classes))),
        {'model.test_cfg': test_cfg},
        classes,
    )
    cfg['model']['decode_head'].update(head)
    cfg['tta_pipeline'] = runs.tta_pipeline('seg')
    return cfg


@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE])
@pytest.mark.parametrize(
    'head, classes',
    [({}, 'abc'), (dict(loss_decode=SIGMOID), 'ab'), (ONE, 'ab')],
)
def test_segmentation(head, classes, test_cfg, tmp_path):
    cfg = segmentation(tmp_path, head, test_cfg, [*classes])
    plain, averaged = scores_of(cfg, False), scores_of(cfg, True)
    assert plain == averaged
    assert 1 < plain['mIoU'] < 90


def test_label_maps_of_one_channel(tmp_path):
    """`--out` writes the same maps, of both classes."""
    cfg = segmentation(tmp_path, ONE, dict(mode='whole'), ['a', 'b'])
    for tta in (False, True):
        scores_of(cfg, tta, tmp_path / str(tta))
    for path in sorted((tmp_path / 'False').iterdir()):
        values = np.asarray(Image.open(path))
        other = Image.open(tmp_path / 'True' / path.name)
        assert np.array_equal(values, other)
        assert np.unique(values).tolist() == [0, 1]


def test_inferencer_and_picture_of_one_channel(tmp_path):
    """They read the labels, which are floats for one channel."""
    cfg = Config(segmentation(tmp_path, ONE, dict(mode='whole'), ['a', 'b']))
    cfg.visualizer = dict(type='SegLocalVisualizer', alpha=1.0)
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    torch.manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) / 5)
    names = dict(classes=['a', 'b'], palette=[[9, 9, 9], [200, 0, 0]])
    meta = dict(dataset_meta=names)
    weights = tmp_path / 'w.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=meta), weights)
    image = str(tmp_path / 'masks/images/0.png')
    found = MMSegInferencer(cfg, str(weights), device='cpu')(
        image, return_vis=True, opacity=1.0, with_labels=False
    )
    labels = found['predictions']
    assert np.unique(labels).tolist() == [0, 1]
    assert np.array_equal(found['visualization'][..., 0] == 200, labels == 1)


def test_logged_accuracy_of_one_channel(tmp_path):
    """MMSegmentation logs the share of class 0 as its accuracy."""
    cfg = Config(segmentation(tmp_path, ONE, {}, ['a', 'b']))
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    sample = SegDataSample(metainfo=dict(img_shape=(32, 32)))
    sample.gt_sem_seg = PixelData(data=torch.ones(1, 32, 32).long())
    losses = model.loss(torch.rand(1, 3, 32, 32), [sample])
    logged = model.parse_losses(losses)[1]
    assert set(logged) == {'loss', 'decode.loss_ce', 'aux_0.loss_ce'}


@pytest.mark.parametrize(
    'head',
    [
        dict(type='LinearClsHead'),
        dict(type='MultiLabelLinearClsHead', thr=0.4),
        dict(type='MultiLabelLinearClsHead', topk=2),
    ],
)
def test_classification(head, tmp_path):
    cfg = runs.classification(runs.photos(tmp_path / 'photos'))
    cfg['model']['head'] = dict(head, num_classes=3, in_channels=32)
    kind = 'MultiLabelMetric' if 'Multi' in head['type'] else 'Accuracy'
    cfg['test_evaluator'] = dict(type=kind)
    views = [dict(type='RandomFlip', prob=p) for p in (0.0, 1.0)]

    def outputs(name, tta, views):
        cfg['tta_pipeline'] = runs.tta_pipeline('cls', views)
        out = tmp_path / f'{name}.pkl'
        return scores_of(cfg, tta, out), pickle.loads(out.read_bytes())

    scores, plain = outputs('plain', False, views)
    again, one = outputs('one', True, views[:1])
    assert scores == again
    two = outputs('two', True, views)[1]
    flipped = outputs('flipped', True, views[1:])[1]
    for a, b, both in zip(one, flipped, two, strict=True):
        mean = (a['pred_score'] + b['pred_score']) / 2
        assert torch.allclose(both['pred_score'], mean)
    for sample in [*plain, *one, *two]:
        assert sample['pred_label'].tolist() == expected(sample, head)


def expected(sample, head):
    scores = sample['pred_score']
    if 'thr' in head:
        return [k for k in range(3) if scores[k] >= head['thr']]
    return scores.topk(head.get('topk', 1)).indices.tolist()
