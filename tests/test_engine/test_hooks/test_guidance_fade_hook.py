"""Guidance that fades out during training."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmdavpt.engine.hooks import GuidanceFadeHook
from mmdavpt.errors import UsageError
from tests import toy

FADE = dict(type='mmdavpt.GuidanceFadeHook', end=0.5)


def terms(work_dir, monkeypatch, *hooks, **changes):
    """Train 2 epochs of 3 iterations; return the guidance terms of each."""
    cfg = toy.classification(work_dir, changes)
    cfg['custom_hooks'] = [*cfg['custom_hooks'], *hooks]
    runner = Runner.from_cfg(Config(cfg))
    found, loss = [], runner.model.loss

    def recorded(*args):
        losses = loss(*args)
        found.append([v.item() for k, v in losses.items() if 'guidance' in k])
        return losses

    monkeypatch.setattr(runner.model, 'loss', recorded)
    runner.train()
    return torch.tensor(found)


def test_guidance_fades_linearly(tmp_path, monkeypatch):
    frozen = {'optim_wrapper.optimizer.lr': 0.0}
    full = terms(tmp_path / 'full', monkeypatch, **frozen)
    faded = terms(tmp_path / 'faded', monkeypatch, FADE, **frozen)
    factors = torch.tensor([3, 2, 1, 0, 0, 0]) / 3
    assert full.shape == (6, 2) and (full > 0).all()
    torch.testing.assert_close(faded, full * factors.unsqueeze(1))


def test_it_needs_guidance(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match='needs a guided model'):
        terms(tmp_path, monkeypatch, FADE, **{'model.guidance': None})


@pytest.mark.parametrize('end', [0, -1, 1.1])
def test_end_is_a_fraction(end):
    with pytest.raises(UsageError, match='`end`'):
        GuidanceFadeHook(end=end)
