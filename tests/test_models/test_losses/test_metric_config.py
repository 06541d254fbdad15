"""Configs of guidance metrics: defaults, mistakes, a user's own."""

import logging

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

from mmdavpt.errors import UsageError
from mmdavpt.models.losses import DAVPTLoss
from mmdavpt.registry import GUIDANCE_METRICS
from tests import toy


@pytest.mark.parametrize(
    'metric, expected',
    [
        (dict(), dict(type='ProxyAnchor')),
        (dict(alpha=8), dict(type='ProxyAnchor', alpha=8)),
        (dict(type='mmdavpt.ProxyNCA'), dict(type='ProxyNCA')),
    ],
)
@pytest.mark.parametrize('preset', [None, 'released'])
def test_the_type_is_the_presets_by_default(metric, expected, preset):
    made = DAVPTLoss(metric=metric, preset=preset)
    assert str(made) == str(DAVPTLoss(metric=expected, preset=preset))


@pytest.mark.parametrize('name', ['proxy_anchor', 'ProxyNCA'])
def test_a_name_is_no_metric(name):
    with pytest.raises(
        UsageError, match=f"should be a dict such as .*but got '{name}'"
    ):
        DAVPTLoss(metric=name)


@pytest.mark.parametrize(
    'metric, error, message',
    [
        (
            dict(type='ProxyAnchor', alpha=0),
            ValueError,
            'alpha of ProxyAnchor should be finite and positive, but got 0',
        ),
        (
            dict(type='ProxyNCA', alpha=-1),
            ValueError,
            'alpha of ProxyNCA .*positive',
        ),
        (
            dict(type='ProxyAnchor', positive_mean='some'),
            ValueError,
            "positive_mean of ProxyAnchor .*'some'",
        ),
        (dict(type='Triplet', margin=True), TypeError, 'margin of Triplet'),
        (
            dict(type='ProxyNCA', margin=float('inf')),
            ValueError,
            'margin of ProxyNCA should be finite',
        ),
        (dict(type='Triplet', alpha=32.0), TypeError, "argument 'alpha'"),
    ],
)
def test_invalid_arguments(metric, error, message):
    with pytest.raises(error, match=message):
        DAVPTLoss(metric=metric)


def test_the_default_scope_causes_no_warning(monkeypatch):
    levels = []

    def record(msg, logger=None, level=logging.INFO):
        levels.append(level)

    monkeypatch.setattr('mmengine.logging.print_log', record)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        DAVPTLoss()
    assert levels and max(levels) < logging.WARNING


def test_a_users_own_metric_trains(runner_from, tmp_path):
    """One class and one registry entry; its parameters are trained."""

    @GUIDANCE_METRICS.register_module(force=True)
    class SoftmaxMetric(nn.Module):
        """Cross-entropy over prompts with a trained temperature."""

        def __init__(self, scale=4.0):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(scale))

        def forward(self, similarity, target, guided):
            logits = (self.scale * similarity).masked_fill(~guided, -1e4)
            return nn.functional.cross_entropy(logits, target, ignore_index=-1)

    changes = {'model.guidance.loss.metric': dict(type='SoftmaxMetric')}
    runner = runner_from(toy.classification(tmp_path, changes))
    runner.train()
    assert runner.model.guidance.loss.metric.scale != 4.0
    GUIDANCE_METRICS.module_dict.pop('SoftmaxMetric')
