"""Runs of a tiny model on a pre-trained backbone, for the tests here."""

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmdavpt.registry import MODELS

from .. import toy

BACKBONE = 'model.backbone'


def pretrained(path, seed=0, **kwargs):
    """Write weights of a plain backbone, and return the path."""
    torch.manual_seed(seed)
    backbone = MODELS.build(toy.backbone(**kwargs))
    state = {
        name: torch.randn_like(value) * 0.1
        for name, value in backbone.state_dict().items()
        if not name.startswith(('prompts', 'bias_delta'))
    }
    torch.save(state, path)
    return str(path)


def config(work_dir, weights, changes=None, **hook):
    """Return the config of a run of a backbone with these weights."""
    return toy.classification(
        work_dir,
        {
            'model.backbone.init_cfg': dict(
                type='Pretrained', checkpoint=weights
            ),
            'default_hooks.checkpoint': dict(
                type='CheckpointHook', interval=1, **hook
            ),
            'model.backbone.bias': ('k', 'v'),
            **(changes or {}),
        },
    )


def runner(cfg, **kwargs):
    """Return the runner of the tools for a config."""
    cfg = Config({**cfg, 'runner_type': 'mmdavpt.DAVPTRunner', **kwargs})
    return RUNNERS.build(cfg)


def state(runner):
    """Return copies of all weights and buffers of a runner's model."""
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


def assert_equal(one, other):
    """Compare two states bit for bit."""
    assert one.keys() == other.keys()
    different = [k for k in one if not torch.equal(one[k], other[k])]
    assert not different, different
