"""`--show-dir` draws every image, whatever visualizer a config has.

A hint led to a visualizer of the other task, and to an AttributeError.
"""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import VISUALIZERS
from mmpretrain.visualization import UniversalVisualizer
from mmseg.visualization import SegLocalVisualizer

from mmdavpt.engine.runner import DAVPTTestRunner

from . import runs
from .commands import start


@VISUALIZERS.register_module(name='OwnForTest')
class Own(UniversalVisualizer, SegLocalVisualizer):
    """A user's visualizer for both tasks, which is kept."""

    made = False

    def __init__(self, name='visualizer', **kwargs):
        super().__init__(name=name, **kwargs)
        Own.made = True


KINDS = [
    None,
    'Visualizer',
    'mmseg.SegLocalVisualizer',
    'mmpretrain.UniversalVisualizer',
    'OwnForTest',
]


@pytest.mark.parametrize('task', ['cls', 'seg'])
@pytest.mark.parametrize('visualizer', KINDS)
def test_pictures(tmp_path, task, visualizer):
    cfg = runs.classification(runs.photos(tmp_path / 'data', number=1))
    if task == 'seg':
        cfg = runs.segmentation(runs.masks(tmp_path / 'data', number=3))
    if visualizer is not None:
        cfg['visualizer'] = dict(type=visualizer)
    built = Config(dict(cfg, experiment_name=f'{task}_{visualizer}'))
    model = DAVPTTestRunner.from_cfg(built).model
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    shown = tmp_path / 'shown'
    Own.made = False
    file = tmp_path / 'model.pth'
    start('test', cfg, tmp_path, file, '--show-dir', shown)
    assert len([*shown.rglob('*.png')]) == 3
    assert visualizer != 'OwnForTest' or Own.made
