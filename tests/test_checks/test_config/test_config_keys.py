"""Which keys ``--cfg-options`` may set."""

from functools import partial
from pathlib import Path

import pytest
from mmengine.config import Config
from torch import nn

from mmdavpt.checks.config.config_keys import (
    accepted_arguments,
    holder,
    walk,
)
from mmdavpt.checks.config.config_options import check_option
from mmdavpt.checks.config.type_places import resolve_type
from mmdavpt.errors import UsageError

CONFIG = Path(__file__).parents[3] / 'configs/setr_davpt_ade20k.py'


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(CONFIG)


class Closed:
    def __init__(self, first, second=2):
        pass


class Passing(Closed):
    def __init__(self, *args, third=3, **kwargs):
        super().__init__(*args, **kwargs)


class Inheriting(Passing):
    pass


class Open:
    def __init__(self, first, **kwargs):
        pass


class Layer(nn.Module):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)


def test_accepted_arguments():
    assert accepted_arguments(Closed) == {'first', 'second'}
    assert accepted_arguments(Passing) == {'first', 'second', 'third'}
    assert accepted_arguments(Inheriting) == {'first', 'second', 'third'}
    assert accepted_arguments(Open) is None
    # `nn.Module` takes any keyword in its signature and then refuses it.
    assert accepted_arguments(Layer) == {'width'}
    assert accepted_arguments(lambda a, *, b: None) == {'a', 'b'}
    assert accepted_arguments(partial(lambda a, **kw: None, a=1)) is None
    assert accepted_arguments(type('Bare', (), {})) == set()


def test_walk_and_holder():
    node = dict(a=[dict(b=1), (dict(c=dict()),)])
    assert [path for path, _ in walk(node)] == ['', 'a.0', 'a.1.0', 'a.1.0.c']
    assert holder('model.auxiliary_head.0') == 'auxiliary_head'
    assert holder('') == ''


def test_resolve_type_by_scope():
    (seg,) = resolve_type('VisionTransformer', 'mmseg')
    (cls,) = resolve_type('VisionTransformer', 'mmpretrain')
    assert seg.__module__.startswith('mmseg')
    assert cls.__module__.startswith('mmpretrain')
    for scope in ('mmseg', 'mmpretrain'):
        (ours,) = resolve_type('mmdavpt.DAVPTVisionTransformer', scope)
        assert issubclass(ours, cls)
    assert resolve_type('NoSuchThing', 'mmseg') == []
    assert resolve_type('mmdavpt.NoSuchThing', 'mmseg') == []
    assert resolve_type(Closed, 'mmseg') == [Closed]


@pytest.mark.parametrize(
    'key',
    [
        'model.backbone.num_prompts',  # is there
        'model.backbone.pool_norm',  # an argument of the type
        'model.backbone.drop_path_rate',  # one of the type's parent
        'model.auxiliary_head.2.num_convs',  # in a list
        'model.guidance.saliency_keys',  # of a dict without `type`
        'train_dataloader.dataset.indices',  # of the dataset's base class
        'train_dataloader.num_batch_per_epoch',  # mmengine's own
        'train_cfg.val_begin',  # of the loop
        'optim_wrapper.clip_grad.max_norm',  # two levels that are not there
        'optim_wrapper.paramwise_cfg.custom_keys.prompts.lr_mult',  # free dict
        'default_hooks.checkpoint.save_best',
        'find_unused_parameters',  # read by runs, not in the config
        'work_dir',
        'model.backbone',  # a whole part
    ],
)
def test_options_that_have_an_effect(cfg, key):
    check_option(cfg, key)


@pytest.mark.parametrize(
    'key,sentence',
    [
        (
            'model.backbone.num_promts',
            'has no key `num_promts`; did you mean `num_prompts`',
        ),
        (
            'worl_dir',
            'the config has no key `worl_dir`; did you mean `work_dir`',
        ),
        ('train_cfg.max_iter', 'did you mean `max_iters`'),
        ('train_dataloader.batchsize', 'did you mean `batch_size`'),
        ('env_cfg.xyz', 'it takes `cudnn_benchmark`, `dist_cfg`'),
        (
            'model.backbone.num_prompts.x',
            '`model.backbone.num_prompts` is 20 and '
            'has no key `x`; to replace it, set',
        ),
        (
            'model.auxiliary_head.3.num_convs',
            'is a list of 3, so `3` should be an index below',
        ),
        ('model.auxiliary_head.x', 'so `x` should be an index'),
        ('lr', 'variable of the config file.*`optim_wrapper.optimizer.lr`'),
        ('feature_layers', 'variable .*such as `model.backbone.out_indices`'),
        ('data_root', '`train_dataloader.dataset.data_root`'),
    ],
)
def test_options_that_would_change_nothing(cfg, key, sentence):
    with pytest.raises(UsageError, match=f'--cfg-options {key}: .*{sentence}'):
        check_option(cfg, key)


def test_options_of_an_own_constructor_are_free():
    wrapper = dict(optimizer=dict(type='SGD'), paramwise_cfg=dict())
    cfg = dict(optim_wrapper=wrapper)
    key = 'optim_wrapper.paramwise_cfg.layer_decay_rate'
    with pytest.raises(UsageError, match='has no key `layer_decay_rate`'):
        check_option(cfg, key)
    wrapper['constructor'] = 'LearningRateDecayOptimWrapperConstructor'
    check_option(cfg, key)


def test_an_unknown_type_is_named():
    cfg = dict(default_scope='mmseg', model=dict(type='NoSuchModel'))
    with pytest.raises(UsageError, match="`model.type` is 'NoSuchModel'"):
        check_option(cfg, 'model.width')
