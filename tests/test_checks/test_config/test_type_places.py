"""Each type of a config is one of the registry that builds such a part."""

import pytest
from mmengine.registry import EVALUATOR, HOOKS, METRICS, MODELS, Registry

from mmdavpt.checks.config.key_check import key_defects
from mmdavpt.checks.config.type_places import (
    is_scope,
    registry_at,
    resolve_type,
    types_at,
)
from mmdavpt.errors import UsageError
from tests import toy

VISUALS = dict(type='UniversalVisualizer', vis_backends=[dict(type='AdamW')])


def defects(changes, make=toy.classification):
    cfg = make('run', {'param_scheduler': dict(type='LinearLR'), **changes})
    return list(key_defects(cfg))


def test_the_config_without_changes_is_sound():
    assert defects({}) == [] == defects({}, toy.segmentation)


@pytest.mark.parametrize(
    'place,other,registries',
    [
        ('model', 'AdamW', 'model optimizer'),
        ('model.backbone', 'PackInputs', 'model transform'),
        ('model.head', 'Accuracy', 'model metric'),
        ('model.head.loss', 'CheckpointHook', 'model hook'),
        ('model.data_preprocessor', 'OptimWrapper', 'model optim_wrapper'),
        ('train_dataloader.dataset', 'AdamW', 'dataset optimizer'),
        ('train_dataloader.sampler', 'LinearLR', 'data sampler parameter sch'),
        ('train_dataloader.dataset.pipeline.0', 'Accuracy', 'transform metri'),
        ('val_evaluator', 'DefaultSampler', 'metric data sampler'),
        ('optim_wrapper', 'ClsDataPreprocessor', 'optim_wrapper model'),
        ('optim_wrapper.optimizer', 'OptimWrapper', 'optimizer optim_wrap'),
        ('param_scheduler', 'SGD', 'parameter scheduler optimizer'),
        ('custom_hooks.0', 'mmdavpt.GlyphDataset', 'hook dataset'),
        ('default_hooks.checkpoint', 'CrossEntropyLoss', 'hook model'),
        ('train_cfg', 'IterTimerHook', 'loop hook'),
        ('val_cfg', 'LinearClsHead', 'loop model'),
    ],
)
def test_a_type_of_another_registry(place, other, registries):
    sentence = next(
        found
        for found in defects({f'{place}.type': other})
        if 'registry' in found
    )
    home, _, of = sentence.partition(f', but {other!r} is one of the registry')
    assert home.startswith(f'`{place}.type` should name an entry of the regi')
    named = f'{home.split("registry ")[1]} {of}'.replace("'", '')
    assert ' '.join(named.split()).startswith(registries)


@pytest.mark.parametrize(
    'changes,sentence',
    [
        ({'default_scope': ''}, "such as 'mmpretrain' or 'mmseg', but is ''"),
        ({'default_scope': '../x'}, "should be the name .*, but is '../x'"),
        ({'default_scope': 'nosuch'}, "but is 'nosuch'"),
        ({'default_scope': None}, 'but is None'),
        ({'runner_type': 'AdamW'}, "registry 'runner', but is 'AdamW'"),
        ({'runner_type': None}, "registry 'runner', but is None"),
        ({'runner_type': 3}, "registry 'runner', but is 3"),
        (
            {'optim_wrapper.constructor': 'Gone'},
            "registry 'optimizer wrapper constructor', but is 'Gone'",
        ),
        ({'visualizer': VISUALS}, "'vis_backend', but 'AdamW' is one of"),
        ({'optim_wrapper.optimizer': dict(lr=0.1)}, 'zer` should have a `ty'),
        ({'visualizer': {}}, '`visualizer` should have a `type`'),
        (
            {'train_dataloader.collate_fn': dict(a=1)},
            'collate_fn` should have a `type`',
        ),
        ({'model.type': 3}, '`model.type` should be a name, but is 3'),
        ({'model.type': 'Gone'}, "'Gone', which no registry of the scope"),
        ({'custom_hooks': [None]}, 'custom_hooks` should be a dict with a'),
        (
            {'val_evaluator': [[dict(type='Accuracy')]]},
            'val_evaluator` should',
        ),
    ],
)
def test_what_is_no_type(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        for found in defects(changes):
            raise UsageError(found)


@pytest.mark.parametrize('entry', [[], None, [dict(type='FCNHead')], 'x'])
def test_an_auxiliary_head_that_is_no_dict(entry):
    found = defects({'model.auxiliary_head': [entry]}, toy.segmentation)
    assert '`model.auxiliary_head` should be a dict with a `type`' in found[0]


@pytest.mark.parametrize(
    'changes',
    [
        {'default_scope': 'mmengine', 'model': None, 'val_evaluator': None},
        {'train_dataloader.collate_fn': len},
        {'train_dataloader.collate_fn': dict(type='default_collate')},
        {'runner_type': 'mmdavpt.DAVPTRunner'},
        {'val_evaluator': [dict(type='Accuracy'), dict(type='Accuracy')]},
    ],
)
def test_types_that_fit_their_place(changes):
    found = [s for s in defects(changes) if 'no registry' not in s]
    assert found == []


def test_places():
    assert registry_at('model.auxiliary_head.0', {}) is MODELS
    assert registry_at('default_hooks.own', {}) is HOOKS
    assert registry_at('default_hooks.own.inner', {}) is None
    assert registry_at('val_evaluator', {}) is METRICS
    assert registry_at('test_evaluator', dict(metrics=[])) is EVALUATOR
    assert registry_at('test_evaluator.metrics.1', {}) is METRICS
    # An own head may have what it likes, and so may an own constructor.
    assert registry_at('model.head.sampler', {}) is None
    assert registry_at('optim_wrapper.prompts', {}) is None


def test_scopes():
    assert all(map(is_scope, ('mmengine', 'mmpretrain', 'mmseg', 'mmdavpt')))
    assert not any(map(is_scope, ('', 'x', 'torch', 'mm pretrain', '.')))
    own = Registry('hook', parent=HOOKS, scope='own_scope')
    try:
        assert is_scope('own_scope')
    finally:
        del HOOKS.children[own.scope]


def test_a_registry_without_parent_is_one_of_its_scope():
    (mixup,) = resolve_type('Mixup', 'mmpretrain')
    assert types_at('x.augments', {}, 'Mixup', 'mmpretrain') == [mixup]
    assert resolve_type('Mixup', 'mmpretrain', MODELS) == []
