"""The hook that gives the visualizer pictures of attention and mapping."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.errors import UsageError
from mmdavpt.visualization import figure_hook
from tests import toy


def train(folder, make, hook=None, **changes):
    cfg = make(folder, changes)
    cfg['visualizer'] = dict(
        type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]
    )
    if hook is not None:
        cfg['custom_hooks'].append(dict(type='mmdavpt.FigureHook', **hook))
    runner = DAVPTRunner.from_cfg(Config(cfg))
    runner.train()
    pictures = sorted(folder.glob('*/vis_data/vis_image/*.png'))
    return runner, {
        path.stem: np.asarray(Image.open(path)) for path in pictures
    }


@pytest.mark.parametrize(
    'make, names',
    [
        (
            toy.classification,
            [
                f'{name}_{epoch}'
                for name in ('attention', 'classes', 'mapping')
                for epoch in (1, 2)
            ],
        ),
        (toy.segmentation, ['attention_2', 'attention_4', 'mapping_2']),
    ],
)
def test_pictures_are_drawn_and_change_no_training(
    tmp_path, make, names, monkeypatch
):
    drawn, draw = [], figure_hook.mapping_figure
    monkeypatch.setattr(
        figure_hook,
        'mapping_figure',
        lambda *args: drawn.append(args) or draw(*args),
    )
    hook = dict(num_images=2)
    if make is toy.segmentation:
        hook['interval'] = 2
        names = [*names, 'mapping_4']
    runner, pictures = train(tmp_path / 'with', make, hook)
    assert sorted(pictures) == names
    assert all(p.std() > 1 and p.ndim == 3 for p in pictures.values())
    state = runner.model.state_dict()
    _, (last, number) = drawn[-1][0], (drawn[-1][1][-1], drawn[-1][3])
    start, _ = drawn[-1][1]
    assert start[0] == 'at the start' and number == 3
    assert last == (
        'epoch 2' if make is toy.classification else 'iteration 4',
        state['guidance.mapping'].tolist(),
    )
    examples = {*range(6)} if make is toy.classification else set()
    assert {*drawn[-1][2]} == examples
    plain, none = train(tmp_path / 'without', make)
    assert not none
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_unguided_models_have_no_mapping(tmp_path):
    changes = {'model.guidance': None}
    _, pictures = train(tmp_path, toy.classification, {}, **changes)
    assert {name.partition('_')[0] for name in pictures} == {
        'attention',
        'classes',
    }


def test_a_figure_that_fails_does_not_end_the_training(tmp_path, monkeypatch):
    def fail(*args):
        assert not runner_modes.append(args[0][''][0].training)
        raise KeyError('classes')

    runner_modes = []
    monkeypatch.setattr(figure_hook, 'compare_attention', fail)
    runner, pictures = train(tmp_path, toy.classification, {})
    assert runner.iter == 6 and not pictures and runner_modes == [False] * 2
    [log] = tmp_path.glob('*/*.log')
    said = "FigureHook: no figures of epoch 1: KeyError('classes')"
    assert said in log.read_text()
    titles = []
    monkeypatch.setattr(
        figure_hook.FigureHook,
        '_keep_mapping',
        lambda self, model, title: titles.append(title),
    )
    cfg_of = toy.classification
    train(tmp_path, lambda *args: cfg_of(*args) | dict(resume=True), {})
    assert titles == ['when resumed']


@pytest.mark.parametrize('option', ['interval', 'num_images'])
def test_numbers_are_positive(option):
    with pytest.raises(UsageError, match=f'`{option}` should be .* 1'):
        figure_hook.FigureHook(**{option: 0})


def test_other_backbones_are_refused(tmp_path):
    model = dict(toy.classification('')['model'], type='ImageClassifier')
    del model['guidance']
    model['backbone'] = dict(
        type='VisionTransformer',
        arch=dict(toy.ARCH),
        img_size=32,
        patch_size=8,
    )
    changes = dict(model=model, custom_hooks=[])
    with pytest.raises(UsageError, match='a prompted ViT, not a VisionTrans'):
        train(tmp_path, toy.classification, {}, **changes)
