"""A checkpoint that does not fit the model is refused."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel, BaseTTAModel
from mmengine.optim import (
    CosineAnnealingLR,
    LinearLR,
    OptimWrapper,
    ReduceOnPlateauLR,
)
from torch import nn

from mmdavpt.checkpoints.fit import state_mismatch
from mmdavpt.checkpoints.tuned import FINGERPRINT
from mmdavpt.engine.hooks.checkpoint_fit_hook import (
    CheckpointFitHook,
    resume_note,
)
from mmdavpt.errors import UsageError
from mmdavpt.unwrap import model_of


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.register_buffer('mapping', torch.zeros(3))

    def forward(self, inputs):
        return self.fc(inputs)


class Averaging(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return data_samples_list


def runner(model, resume=False, classes=None):
    dataset = SimpleNamespace(metainfo=dict(classes=classes))
    loader = SimpleNamespace(dataset=dataset)
    warnings = []
    return SimpleNamespace(
        model=model,
        _resume=resume,
        param_schedulers=None,
        optim_wrapper=None,
        _load_from='x.pth',
        train_dataloader=loader,
        test_dataloader=loader,
        warnings=warnings,
        logger=SimpleNamespace(warning=warnings.append),
    )


def test_state_mismatch():
    model = Model()
    state = model.state_dict()
    assert state_mismatch(model, state) == ([], [], [])
    wrapped = {f'module.{name}': value for name, value in state.items()}
    assert state_mismatch(model, wrapped) == ([], [], [])
    del state['mapping']
    state['fc.weight'] = torch.zeros(3, 3)
    state['fc.bia'] = state.pop('fc.bias')
    assert state_mismatch(model, state) == (
        ['mapping', 'fc.bias'],
        ['fc.bia'],
        ['fc.weight'],
    )


def test_frozen_weights_may_be_missing_if_there_is_a_fingerprint():
    model = Model()
    model.fc.weight.requires_grad_(False)
    state = model.state_dict()
    del state['fc.weight']
    assert state_mismatch(model, state)[0] == ['fc.weight']
    state[FINGERPRINT] = torch.zeros(64, dtype=torch.uint8)
    assert state_mismatch(model, state) == ([], [], [])
    del state['fc.bias']
    assert state_mismatch(model, state)[0] == ['fc.bias']


def test_model_of():
    model = Model()
    assert model_of(Averaging(model)) is model
    assert model_of(nn.DataParallel(Averaging(model))) is model


@pytest.mark.parametrize('model', [Model(), Averaging(Model())])
def test_a_test_needs_every_weight(model):
    hook = CheckpointFitHook(training=False)
    hook.after_load_checkpoint(
        runner(model), dict(state_dict=Model().state_dict())
    )
    hook.after_load_checkpoint(runner(model), Model().state_dict())
    with pytest.raises(
        UsageError,
        match=r'x.pth should have exactly the 3 weights of this model, but '
        r'is missing mapping, fc.weight: it was made with another',
    ):
        state = {'fc.bias': torch.zeros(3)}
        hook.after_load_checkpoint(runner(model), dict(state_dict=state))


def test_load_from_needs_every_weight_that_is_not_allowed_to_differ():
    part = {'fc.bias': torch.zeros(3), 'fc.weight': torch.zeros(9, 2)}
    hook = CheckpointFitHook(training=True)
    said = 'is missing mapping and has a mismatched shape of fc.weight'
    with pytest.raises(UsageError, match=said):
        hook.after_load_checkpoint(runner(Model()), dict(state_dict=part))
    allowed = CheckpointFitHook(True, ('map*', 'fc.weight'))
    allowed.after_load_checkpoint(runner(Model()), dict(state_dict=part))
    assert list(part) == ['fc.bias']  # else mmengine would warn
    wrapped = {
        'module.fc.weight': torch.zeros(9, 2),
        'module.fc.bias': part['fc.bias'],
    }
    allowed.after_load_checkpoint(runner(Model()), dict(state_dict=wrapped))
    assert list(wrapped) == ['module.fc.bias']
    CheckpointFitHook(True, '*').after_load_checkpoint(
        runner(Model()), dict(state_dict=dict(part))
    )
    for state in ({}, {'blocks.0.attn.qkv.weight': torch.zeros(3)}):
        with pytest.raises(UsageError, match='x.pth has none of the 3 wei'):
            allowed.after_load_checkpoint(
                runner(Model()), dict(state_dict=state)
            )


def test_a_resumed_run_needs_every_weight():
    hook = CheckpointFitHook(training=True, allowed='*')
    state = Model().state_dict()
    resumed = runner(Model(), resume=True)
    hook.after_load_checkpoint(resumed, dict(state_dict=state, optimizer={}))
    with pytest.raises(UsageError, match='no optimizer state'):
        hook.after_load_checkpoint(resumed, dict(state_dict=state))
    del state['fc.bias']
    with pytest.raises(UsageError, match='x.pth .* is missing fc.bias'):
        hook.after_load_checkpoint(
            resumed, dict(state_dict=state, optimizer={})
        )


def test_a_checkpoint_with_more_than_the_model_is_refused():
    """Such as tuned biases, when the option that adds them is forgotten."""
    model = Model()
    state = {f'module.{k}': v for k, v in model.state_dict().items()}
    hook = CheckpointFitHook(training=False)
    state['guidance.mapping'] = torch.zeros(3)
    hook.after_load_checkpoint(runner(model), dict(state_dict=state))
    state['backbone.bias_delta.v'] = torch.zeros(3)
    with pytest.raises(UsageError, match='unexpected backbone.bias_delta.v'):
        hook.after_load_checkpoint(runner(model), dict(state_dict=state))


@pytest.mark.parametrize(
    'classes, sentence',
    [
        (('a', 'c'), 'it has 2, and only one of them has b'),
        (('a', 'c', 'b'), 'it has 3, and other numbers belong to '),
        (('a', 'b', 'c'), None),
        (None, None),
    ],
)
def test_classes_are_numbered_as_in_the_checkpoint(classes, sentence):
    def load(training, resume):
        one = runner(Model(), resume, classes)
        CheckpointFitHook(training).after_load_checkpoint(one, content)
        return one.warnings

    content = dict(
        state_dict=Model().state_dict(),
        meta=dict(dataset_meta=dict(classes=('a', 'b', 'c'))),
        optimizer={},
    )
    for training, resume in ((False, False), (True, True)):
        if sentence is None:
            assert load(training, resume) == []
        else:
            with pytest.raises(UsageError, match=sentence):
                load(training, resume)
    warnings = load(True, False)  # `load_from` may have other classes
    assert [sentence in w for w in warnings] == [True] * bool(sentence)


def schedules(end=4, lr=0.1):
    number = torch.zeros(1, requires_grad=True)
    wrapper = OptimWrapper(torch.optim.SGD([number], lr))
    return [
        LinearLR(wrapper, start_factor=0.5, end=2),
        CosineAnnealingLR(wrapper, T_max=end - 2, begin=2, end=end),
        ReduceOnPlateauLR(wrapper, monitor='x'),
    ]


def stored(**options):
    """Return the states of schedules after some steps."""
    found = schedules(**options)
    for _ in range(3):
        for schedule in found:
            schedule.optimizer.step()
            schedule.step()
    return [copy.deepcopy(schedule.state_dict()) for schedule in found]


def test_a_resumed_run_warns_about_changed_schedules():
    def note(built, states):
        resumed = SimpleNamespace(param_schedulers=built, optim_wrapper=None)
        return resume_note(resumed, dict(param_schedulers=states))

    assert note(schedules(), stored()) == ''
    assert note(None, stored()) == note(schedules(), None) == ''
    said = note(schedules(end=9), stored())
    assert 'param_scheduler.1.T_max=2 instead of 7' in said
    assert 'param_scheduler.1.end=4 instead of 9' in said
    assert 'param_scheduler.0' not in said
    said = note(schedules(lr=0.2), stored())
    assert 'param_scheduler.0.base_values=[0.1] instead of [0.2]' in said
    said = note(schedules()[:2], stored())
    assert 'number of schedules=3 instead of 2' in said
