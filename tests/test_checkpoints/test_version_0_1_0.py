"""Checkpoints of version 0.1.0 load, predict and resume as they did."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.registry import MODELS

from . import runs

DATA = Path(__file__).parents[1] / 'data' / 'v0.1.0'
NAMES = ('classification', 'tuned_only', 'plus', 'segmentation')


@pytest.fixture(scope='module')
def expected():
    return torch.load(DATA / 'expected.pth')


def compare(found, given, expected):
    """Compare bit for bit on the same CPU and PyTorch, else to rounding."""
    here = (torch.__version__, torch.backends.cpu.get_cpu_capability())
    exact = here == (expected['torch'], expected['cpu'])
    tolerance = 0 if exact else 1e-4
    torch.testing.assert_close(found, given, rtol=tolerance, atol=tolerance)


def config_of(name):
    """Return the config that a checkpoint contains."""
    content = read_run_checkpoint(str(DATA / f'{name}.pth'))
    cfg = Config.fromstring(content['meta']['cfg'], '.py')
    if 'init_cfg' in cfg.model.backbone:
        cfg.model.backbone.init_cfg.checkpoint = str(DATA / 'vit.pth')
    return cfg, content['state_dict']


@pytest.mark.parametrize('name', NAMES)
def test_strict_loading_gives_the_same_scores(name, expected):
    cfg, state = config_of(name)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.load_state_dict(state)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 32, 32, generator=generator)
    with torch.no_grad():
        scores = model.eval()(images, mode='tensor')
    if name == 'segmentation':
        scores = scores[..., ::8, ::8]
    compare(scores, expected[name]['outputs'], expected)


@pytest.mark.parametrize('name', NAMES)
def test_resumed_runs_end_with_the_same_weights(name, expected, tmp_path):
    checkpoint = str(DATA / f'{name}.pth')
    train_and_compare(name, expected, tmp_path, load_from=checkpoint)


@pytest.mark.parametrize('name', ['plus', 'segmentation'])
def test_fresh_runs_end_with_the_same_weights(name, expected, tmp_path):
    train_and_compare(name, expected, tmp_path)


def train_and_compare(name, expected, work_dir, load_from=None):
    """Train or resume a run, and compare the weights at its end."""
    cfg, _ = config_of(name)
    cfg.work_dir = cfg.experiment_name = str(work_dir)
    resume = load_from is not None
    runner = runs.runner(cfg, resume=resume, load_from=load_from)
    runner.train()
    state = runs.state(runner)
    final = dict(expected[name]['final'])
    final.pop('frozen_fingerprint', None)
    compare({key: state[key] for key in final}, final, expected)
    epochs, iterations = (2, 6) if name != 'segmentation' else (0, 4)
    assert (runner.epoch, runner.iter) == (epochs, iterations)
