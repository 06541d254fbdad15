"""The optimizer wrapper for CPUs and the constructor for frozen models."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmdavpt.engine.optimizers import (
    CpuAmpOptimWrapper,
)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))
        self.backbone.requires_grad_(False)
        self.backbone.prompts = nn.Parameter(torch.zeros(2, 4))
        self.frozen = nn.Sequential(nn.Linear(2, 2)).requires_grad_(False)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.backbone(x) + self.backbone.prompts.sum(0))


def build(model, constructor, lr=1.0, **kwargs):
    return build_optim_wrapper(
        model,
        ConfigDict(
            constructor=constructor,
            optimizer=dict(type='SGD', lr=lr, weight_decay=0.1),
            paramwise_cfg=dict(
                custom_keys={
                    'head': dict(lr_mult=10.0),
                    'prompts': dict(decay_mult=0.0),
                }
            ),
            **kwargs,
        ),
    )


def groups(wrapper):
    return [
        (g['params'][0], g['lr'], g['weight_decay'])
        for g in wrapper.optimizer.param_groups
    ]


def test_same_groups_as_the_parent():
    model = Model()
    expected = groups(build(model, 'DefaultOptimWrapperConstructor'))
    ours = groups(build(model, 'mmdavpt.TrainableOptimWrapperConstructor'))
    assert len(ours) == len(expected) == 3
    for (p, lr, decay), (q, *rest) in zip(ours, expected, strict=True):
        assert p is q and [lr, decay] == rest
    by_lr = {id(p): (lr, decay) for p, lr, decay in ours}
    assert by_lr[id(model.head.weight)] == (10.0, 0.1)
    assert by_lr[id(model.backbone.prompts)] == (1.0, 0.0)


def test_constructor_logs_nothing_about_frozen_modules(monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmengine.optim.optimizer.default_constructor.print_log',
        lambda message, **kwargs: said.append(message),
    )
    build(Model(), 'mmdavpt.TrainableOptimWrapperConstructor')
    assert not [m for m in said if 'is skipped' in m]
    assert [m for m in said if 'head.weight:lr=10.0' in m]
    build(Model(), 'DefaultOptimWrapperConstructor')
    assert len([m for m in said if 'is skipped' in m]) == 6


@pytest.mark.skipif(torch.cuda.is_available(), reason='is about CPUs')
def test_cpu_wrapper_computes_in_bfloat16_and_learns():
    torch.manual_seed(0)
    model = Model()
    wrapper = build(
        model,
        'mmdavpt.TrainableOptimWrapperConstructor',
        lr=0.02,
        type='mmdavpt.CpuAmpOptimWrapper',
        clip_grad=dict(max_norm=1.0),
        accumulative_counts=2,
    )
    assert isinstance(wrapper, CpuAmpOptimWrapper)
    x, losses = torch.randn(8, 3), []
    before = model.backbone[0].weight.clone()
    for _ in range(100):
        with wrapper.optim_context(model):
            out = model(x)
        assert out.dtype == torch.bfloat16
        loss = (out.float() - 1).square().mean()
        wrapper.update_params(loss)
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert model.head.weight.dtype == torch.float32
    assert torch.equal(model.backbone[0].weight, before)
    # Outside of the context nothing is cast.
    assert model(x).dtype == torch.float32
