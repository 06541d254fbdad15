"""The tuner of docs/extending.md, in a user's file, in whole runs."""

import re
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.models import count_parameters, parameter_table
from mmdavpt.registry import MODELS, TUNERS

from ... import toy

PAGE = Path(__file__).parents[3] / 'docs' / 'extending.md'
BLOCKS = re.findall(r'```python\n(.*?)```', PAGE.read_text('utf-8'), re.S)
TUNER, USE = BLOCKS[:2]


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Return a function that makes the config of a run."""
    (tmp_path / 'my_tuners.py').write_text(TUNER)
    monkeypatch.syspath_prepend(tmp_path)
    weights = tmp_path / 'vit.pth'

    def make(task, folder):
        torch.manual_seed(0)
        cfg = task(
            tmp_path / folder,
            {
                'model.backbone.init_cfg': dict(
                    type='Pretrained', checkpoint=str(weights)
                ),
                'default_hooks.checkpoint.tuned_only': True,
            },
        )
        plain = MODELS.build({**cfg['model']['backbone'], 'init_cfg': None})
        if not weights.exists():
            state = {
                name: torch.randn_like(value) * 0.1
                for name, value in plain.state_dict().items()
                if not name.startswith('prompts.')
            }
            torch.save(state, weights)
        (tmp_path / 'use.py').write_text(USE)
        cfg = Config({**cfg, 'runner_type': 'mmdavpt.DAVPTRunner'})
        cfg.merge_from_dict(Config.fromfile(tmp_path / 'use.py').to_dict())
        return cfg

    yield make
    TUNERS.module_dict.pop('TinyAdapter', None)
    sys.modules.pop('my_tuners', None)


def state(runner):
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


@pytest.mark.parametrize(
    'task, unit, half',
    [(toy.classification, 'epoch', 1), (toy.segmentation, 'iter', 2)],
)
def test_a_tuner_in_a_users_file(config, tmp_path, task, unit, half):
    whole = RUNNERS.build(config(task, 'whole'))
    start = state(whole)
    whole.train()
    model = whole.model
    adapter = model.backbone.tuners.TinyAdapter
    assert model.guidance is not None and adapter.down[0].out_features == 8
    count = sum(p.numel() for p in adapter.parameters())
    group = 'backbone.tuners.TinyAdapter'
    assert count_parameters(model)[group] == (count, 0)
    assert group in parameter_table(model)
    name = f'{group}.up.1.weight'
    assert start[name].abs().max() == 0 < state(whole)[name].abs().max()

    middle, last = (
        str(tmp_path / 'whole' / f'{unit}_{count}.pth')
        for count in (half, 2 * half)
    )
    cfg = config(task, 'resumed')
    cfg.resume, cfg.load_from = True, middle
    resumed = RUNNERS.build(cfg)
    resumed.train()
    expected = state(whole)
    for key, value in state(resumed).items():
        assert torch.equal(value, expected[key]), key

    saved = read_run_checkpoint(last)['state_dict']
    assert name in saved and 'backbone.pos_embed' not in saved
    fresh = MODELS.build(config(task, 'fresh').model)
    fresh.load_state_dict(saved)
    for key, value in fresh.state_dict().items():
        assert torch.equal(value, expected[key]), key
    saved.pop(name)
    with pytest.raises((RuntimeError, ValueError), match='TinyAdapter|tuned'):
        fresh.load_state_dict(saved)
