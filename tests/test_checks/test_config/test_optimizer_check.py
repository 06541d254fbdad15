"""Optimizers and schedules that cannot be used are told before a run."""

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import DefaultOptimWrapperConstructor

from mmdavpt.checks.config.optimizer_check import check_optimizer
from mmdavpt.errors import UsageError

SGD = dict(type='SGD', lr=0.1)


class Several:
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        pass

    def __call__(self, model):
        pass


class Named(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        pass


def checked(param_scheduler=None, by_epoch=True, **wrapper):
    total = dict(max_epochs=3) if by_epoch else dict(max_iters=3)
    check_optimizer(
        dict(
            default_scope='mmpretrain',
            optim_wrapper=wrapper,
            param_scheduler=param_scheduler,
            train_cfg=dict(by_epoch=by_epoch, **total),
        )
    )


def mixed(**options):
    checked(type='AmpOptimWrapper', optimizer=SGD, **options)


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(loss_scale='dynamic'),
        dict(loss_scale=512.0, dtype='bfloat16'),
        dict(loss_scale=dict(init_scale=512.0, growth_interval=9)),
        dict(dtype=torch.float16),
    ],
)
def test_mixed_precision(options):
    mixed(**options)


@pytest.mark.parametrize(
    'options,sentence',
    [
        (dict(loss_scale=512), 'loss_scale` should be .*512.0, .*but is 512'),
        (dict(loss_scale='x'), "loss_scale` should be .*, but is 'x'"),
        (dict(loss_scale=None), 'loss_scale` should be .*, but is None'),
        (
            dict(loss_scale=dict(scale=2.0)),
            'loss_scale` has no key `scale`; ',
        ),
        (
            dict(loss_scale=dict(init_scale='x')),
            'loss_scale.init_scale` sh',
        ),
        (dict(dtype='float8'), "dtype` should be out of float16, .*'float8'"),
    ],
)
def test_mixed_precision_of_other_kinds(options, sentence):
    with pytest.raises(UsageError, match=f'`optim_wrapper.{sentence}'):
        mixed(**options)


@pytest.mark.parametrize(
    'wrapper,sentence',
    [
        (dict(clip_grad=dict(max_norm='x')), 'optim_wrapper` cannot be used'),
        (dict(clip_grad=dict(max_norm=1.0, norm_type='x')), 'cannot be used'),
        (dict(clip_grad=dict(max=1.0)), "unexpected .*'max'"),
        (dict(clip_grad=dict(type='x', max_norm=1.0)), 'cannot be built'),
        (dict(accumulative_counts=0), 'cannot be built'),
        (
            dict(optimizer=dict(type='AdamW', lr=0.1, betas=(0.9, 'x'))),
            r'optimizer.betas` should be numbers, .*\(0.9, .x.\)',
        ),
        (dict(optimizer=dict(SGD, momentum=0.9, dampening='x')), 'be used'),
    ],
)
def test_what_fails_at_the_first_steps(wrapper, sentence):
    with pytest.raises(UsageError, match=sentence):
        checked(**{'optimizer': SGD, **wrapper})


@pytest.mark.parametrize(
    'changes,sentence',
    [
        (dict(lr=[0, 1]), r'lr` should be a number, .* but is \[0, 1\]'),
        (dict(lr='1e-2x'), "lr` should be a number, .* but is '1e-2x'"),
        (dict(weight_decay=[0, 1]), 'weight_decay` should be a number'),
        (dict(momentum='x'), 'momentum` should be a number'),
        (dict(type='AdamW', lr=0.1, eps=None), 'eps` should be a number'),
        (dict(type='AdamW', lr=0.1, betas=0.9), 'betas` should be numbers'),
    ],
)
def test_numbers_of_an_optimizer(changes, sentence):
    with pytest.raises(UsageError, match=f'optimizer.{sentence}'):
        checked(optimizer={**SGD, **changes})


def test_numbers_that_optimizers_take():
    checked(optimizer=dict(type='AdamW', lr=1, betas=[0.9, 0.99], eps=1e-6))
    checked(optimizer=dict(type='TorchAdafactor', eps=(None, 1e-3)))


def test_the_steps_leave_no_trace():
    hub = MessageHub.get_current_instance()
    before = set(hub.log_scalars)
    checked(optimizer=SGD, clip_grad=dict(max_norm=1.0))
    checked(optimizer=dict(SGD, capturable=True, type='Adam'))
    assert set(hub.log_scalars) == before


STEPS = [dict(type='StepLR', step_size=1)]


@pytest.mark.parametrize(
    'constructor',
    [
        {},
        dict(constructor='DefaultOptimWrapperConstructor'),
        dict(constructor='mmdavpt.TrainableOptimWrapperConstructor'),
        dict(constructor='LearningRateDecayOptimWrapperConstructor'),
    ],
)
@pytest.mark.parametrize('schedules', [{}, dict(prompts=STEPS, head=STEPS)])
def test_schedules_by_names_of_one_optimizer(constructor, schedules):
    sentence = 'schedules by the names of optimizers, .*as a list'
    with pytest.raises(UsageError, match=sentence):
        checked(schedules, optimizer=SGD, **constructor)


def test_schedules_by_names_of_several_optimizers():
    named = dict(prompts=STEPS, head=STEPS)
    checked(named, constructor=Several, prompts=dict(optimizer=SGD))
    checked(named, constructor=Named, optimizer=SGD)
    checked(STEPS, optimizer=SGD)
    checked(STEPS[0], optimizer=SGD)


def test_each_of_several_optimizers_is_built():
    own = dict(optimizer=dict(type='SGD', lr=-1.0))
    with pytest.raises(UsageError, match='optim_wrapper.head.optimizer` cann'):
        checked(constructor=Several, prompts=dict(optimizer=SGD), head=own)
    with pytest.raises(UsageError, match='scheduler.head.0` .*step_size'):
        checked(
            dict(head=[dict(type='StepLR')]),
            constructor=Several,
            head=dict(optimizer=SGD),
        )


def test_schedules_end_with_the_training():
    cosine = dict(type='CosineAnnealingLR', begin=3)
    with pytest.raises(UsageError, match='begin=3, end=3'):
        checked([cosine], optimizer=SGD)
    with pytest.raises(UsageError, match='begin=3, end=3'):
        checked([dict(cosine, by_epoch=False)], False, optimizer=SGD)
    # What counts otherwise than the training has no such end.
    checked([dict(cosine, by_epoch=False, T_max=9)], optimizer=SGD)
