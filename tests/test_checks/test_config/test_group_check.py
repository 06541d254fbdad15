"""A model's parameters are given to an optimizer before a run is."""

import pytest
from mmengine.logging import MMLogger
from torch import nn

from mmdavpt.checks.config.group_check import check_groups
from mmdavpt.errors import UsageError

SGD = dict(type='SGD', lr=0.1)


class Several:
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        raise AssertionError('own constructors are not tried')


def grouped(default_scope='mmseg', **wrapper):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).to('meta')
    model[0].weight.requires_grad_(False)
    optimizer = dict(SGD, weight_decay=0.1)
    wrapper = {'optimizer': optimizer, 'type': 'AmpOptimWrapper', **wrapper}
    cfg = dict(default_scope=default_scope, optim_wrapper=wrapper)
    return check_groups(cfg, model)


def test_parameters_are_given_to_the_optimizer(capsys):
    logger = MMLogger.get_current_instance()
    logger.warning('the logger exists, and writes')
    assert 'the logger exists' in ''.join(capsys.readouterr())
    grouped(paramwise_cfg=dict(norm_decay_mult=0.0, bias_lr_mult=2.0))
    grouped(constructor=Several, optimizer=dict(type='Gone'))
    for wrapper, sentence in (
        (dict(optimizer=SGD), 'base_wd should not be None'),
        ({}, None),
    ):
        options = dict(norm_decay_mult=0.0, bias_lr_mult='x')
        with pytest.raises(UsageError, match=sentence or 'cannot be built: '):
            grouped(**wrapper, paramwise_cfg=options)
    assert capsys.readouterr() == ('', '')  # of what the run itself will say
    assert not logger.disabled


@pytest.mark.parametrize(
    'options,sentence',
    [
        (dict(lr_mul=2.0), 'custom_keys.bias` has no key `lr_mul`; it takes'),
        (3, 'custom_keys.bias` should be a dict, but is 3'),
    ],
)
def test_options_of_patterns(options, sentence):
    paramwise = dict(custom_keys=dict(bias=options))
    with pytest.raises(UsageError, match=sentence):
        grouped(paramwise_cfg=paramwise)


def test_patterns_of_no_trained_parameter_are_named():
    options = dict(lr_mult=2.0, decay_mult=0.0, momentum=0.5)
    paramwise = dict(custom_keys={'0.b': options, '0.weight': options})
    (note,) = grouped(paramwise_cfg=paramwise)
    assert "custom_keys` has '0.weight', which is in the name of no" in note
    # What an option of the backbone would add is in the shipped schedules.
    paramwise = dict(custom_keys={'0.b': options, 'bias_delta': options})
    assert grouped(paramwise_cfg=paramwise) == []
    # What else an optimizer reads is for it to know.
    lars = dict(type='LARS', lr=0.1, weight_decay=0.1)
    paramwise = dict(custom_keys=dict(bias=dict(lars_exclude=True)))
    wrapper = dict(optimizer=lars, paramwise_cfg=paramwise)
    assert grouped(**wrapper, default_scope='mmpretrain') == []
