"""Configs of guidance metrics: new ones, the old spelling, a user's own."""

import warnings

import pytest
import torch
from torch import nn

from mmdavpt.models.losses import DAVPTLoss
from mmdavpt.registry import GUIDANCE_METRICS
from tests import toy

from .test_davpt_loss import GUIDED, TARGET, make_tokens


@pytest.mark.parametrize(
    'old, new',
    [
        (dict(metric='proxy_anchor'), dict(type='ProxyAnchor')),
        (dict(alpha=16.0), dict(type='ProxyAnchor', alpha=16.0)),
        (
            dict(metric='proxy_anchor', margin=0.2, positive_mean='all'),
            dict(type='ProxyAnchor', margin=0.2, positive_mean='all'),
        ),
        (
            dict(metric='proxy_nca', alpha=8),
            dict(type='mmdavpt.ProxyNCA', alpha=8),
        ),
        (dict(metric='triplet', margin=0.3), dict(type='Triplet', margin=0.3)),
    ],
)
@pytest.mark.parametrize('preset', [None, 'released'])
def test_old_spelling_gives_the_same_loss_and_warns_once(old, new, preset):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('ignore')
        DAVPTLoss(preset=preset, **old)  # as the preflight does
        warnings.simplefilter('default')
        expected = DAVPTLoss(metric=new, preset=preset)
        assert not caught
        losses = [DAVPTLoss(preset=preset, **old) for _ in range(2)]
        assert [w.category for w in caught] == [FutureWarning]
    for loss in losses:
        assert str(loss) == str(expected)
        terms = loss(make_tokens(), TARGET, GUIDED)
        for name, value in expected(make_tokens(), TARGET, GUIDED).items():
            assert torch.equal(terms[name], value)


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
