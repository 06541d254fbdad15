"""Row 18: ``--show-dir`` draws with any visualizer of the config."""

import pytest
from mmengine.config import Config

from mmdavpt.cli.evaluation import draw_predictions


@pytest.mark.parametrize(
    'scope, given, expected',
    [
        ('mmseg', None, 'SegLocalVisualizer'),
        ('mmseg', 'mmengine.Visualizer', 'SegLocalVisualizer'),
        ('mmseg', 'mmpretrain.UniversalVisualizer', 'SegLocalVisualizer'),
        ('mmseg', 'mmseg.SegLocalVisualizer', 'mmseg.SegLocalVisualizer'),
        ('mmpretrain', 'Visualizer', 'UniversalVisualizer'),
        ('mmpretrain', 'mmseg.SegLocalVisualizer', 'UniversalVisualizer'),
        ('mmpretrain', 'UniversalVisualizer', 'UniversalVisualizer'),
    ],
)
def test_visualizers_of_other_libraries_are_replaced(scope, given, expected):
    cfg = Config(dict(default_scope=scope))
    if given is not None:
        cfg.visualizer = dict(type=given, alpha=0.5)
    draw_predictions(cfg, 'pictures')
    assert cfg.visualizer.type == expected
    assert ('alpha' in cfg.visualizer) == (given is not None)


def test_pictures_go_to_files_beside_other_backends():
    backend = dict(type='TensorboardVisBackend')
    visualizer = dict(type='SegLocalVisualizer', vis_backends=[backend])
    cfg = Config(dict(default_scope='mmseg', visualizer=visualizer))
    draw_predictions(cfg, 'pictures')
    kinds = [b.type for b in cfg.visualizer.vis_backends]
    assert kinds == ['TensorboardVisBackend', 'LocalVisBackend']
    assert cfg.visualizer.save_dir == 'pictures'
