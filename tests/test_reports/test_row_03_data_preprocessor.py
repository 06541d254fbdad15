"""A data preprocessor at the top and in the model: nothing is lost silently.

mmengine uses the one at the top only if the model has none, so that mean, std
or `to_rgb` of one of them had no effect [mmpretrain #1543].
"""

import copy

import pytest
import torch
from mmengine.config import Config
from mmpretrain.apis import get_model
from mmseg.apis import MMSegInferencer, init_model
from mmseg.structures import SegDataSample

from mmdavpt.cli.evaluation import use_tta
from mmdavpt.engine.runner import DAVPTRunner, DAVPTTestRunner

from . import runs

MEAN, STD = dict(mean=[110.0, 120.0, 130.0]), dict(std=[50.0, 60.0, 70.0])
BOTH = {**MEAN, **STD}


def config(task, folder, inner, outer):
    make, data, rgb = dict(
        cls=(runs.classification, runs.photos, 'to_rgb'),
        seg=(runs.segmentation, runs.masks, 'bgr_to_rgb'),
    )[task]
    cfg = make(data(folder / task, number=1))
    kept = {
        k: v
        for k, v in cfg['model'].pop('data_preprocessor').items()
        if k not in ('mean', 'std')
    }
    for place, given in ((cfg['model'], inner), (cfg, outer)):
        if given is not None:
            given = {rgb if k == 'rgb' else k: v for k, v in given.items()}
            place['data_preprocessor'] = {**kept, **given}
    return cfg


@pytest.mark.parametrize('task', ['cls', 'seg'])
@pytest.mark.parametrize(
    'inner, outer, hidden',
    [
        (BOTH, {**BOTH, 'rgb': True}, r'rgb` \(True\) and has None'),
        (BOTH, {**BOTH, 'mean': [1.0, 2.0, 3.0]}, r'mean` \(\[1.0, 2.0, 3.0'),
        (MEAN, {**MEAN, **STD}, 'both'),
        ({}, BOTH, 'hides `data_preprocessor'),
        ({**BOTH, 'rgb': True}, BOTH, None),
        (BOTH, BOTH, None),
        (BOTH, None, None),
        (None, BOTH, None),
    ],
)
def test_disagreement_is_an_error(task, inner, outer, hidden, tmp_path):
    said = runs.sentence(config(task, tmp_path, inner, outer))
    if hidden is None:
        assert said == ''
    else:
        with pytest.raises(AssertionError, match=hidden):
            raise AssertionError(said)


@pytest.mark.parametrize('task', ['cls', 'seg'])
@pytest.mark.parametrize('outer', [None, BOTH])
def test_averaging_uses_that_of_the_model(task, outer, tmp_path):
    """`--tta` used the one at the top instead, so that channels swapped."""
    cfg = Config(config(task, tmp_path, {**BOTH, 'rgb': True}, outer))
    cfg.tta_pipeline = runs.tta_pipeline(task)
    use_tta(cfg)
    assert runs.sentence(cfg, training=False) == ''
    own = DAVPTTestRunner.from_cfg(cfg).model.module
    check(own.data_preprocessor, rgb=True)


def check(preprocessor, rgb=False):
    assert preprocessor.mean.flatten().tolist() == MEAN['mean']
    assert preprocessor.std.flatten().tolist() == STD['std']
    pixel = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1).expand(3, 32, 32)
    data = dict(inputs=[pixel], data_samples=[SegDataSample()])
    seen = preprocessor(data)['inputs'][0, :, 0, 0]
    seen = seen * torch.tensor(STD['std']) + torch.tensor(MEAN['mean'])
    assert seen.round().tolist() == [[1, 2, 3], [3, 2, 1]][rgb]


@pytest.mark.parametrize('place', ['inner', 'outer'])
@pytest.mark.parametrize('task', ['cls', 'seg'])
def test_inferencers_use_that_of_the_training(task, place, tmp_path):
    """MMSegmentation's look only into the model."""
    given = dict(inner=None, outer=None)
    given[place] = {**BOTH, 'rgb': True}
    cfg = Config(config(task, tmp_path, **given))
    with_tta = copy.deepcopy(cfg)
    runner = DAVPTRunner.from_cfg(cfg)
    check(runner.model.data_preprocessor, rgb=True)
    weights = str(tmp_path / 'w.pth')
    runner.save_checkpoint(str(tmp_path), 'w.pth', save_optimizer=False)
    (written,) = tmp_path.rglob('run_*/*.py')
    read = Config.fromfile(written)
    for source in (read, Config.fromstring(meta(weights), '.py')):
        if task == 'cls':
            models = [get_model(source, pretrained=weights, device='cpu')]
        else:
            source.visualizer = dict(type='SegLocalVisualizer')
            source.test_pipeline = runs.TEST_PIPELINE
            models = [
                init_model(source, weights, 'cpu'),
                MMSegInferencer(source, weights, device='cpu').model,
            ]
        for model in models:
            check(model.data_preprocessor, rgb=True)
    with_tta.tta_pipeline = runs.tta_pipeline(task)
    use_tta(with_tta)
    with_tta.experiment_name += '_tta'
    own = DAVPTTestRunner.from_cfg(with_tta).model.module
    check(own.data_preprocessor, rgb=True)


def meta(weights):
    return torch.load(weights, weights_only=False)['meta']['cfg']
