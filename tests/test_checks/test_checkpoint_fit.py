"""A checkpoint that does not fit the model is refused."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel, BaseTTAModel
from torch import nn

from mmdavpt.checkpoints.fit import state_mismatch
from mmdavpt.checkpoints.tuned import FINGERPRINT
from mmdavpt.checks.checkpoint_fit import CheckpointFitHook, unwrap
from mmdavpt.errors import UsageError


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
    return SimpleNamespace(
        model=model,
        _resume=resume,
        param_schedulers=None,
        _load_from='x.pth',
        test_dataloader=SimpleNamespace(dataset=dataset),
    )


def test_misfit():
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


def test_what_is_frozen_is_compared_by_its_fingerprint():
    model = Model()
    model.fc.weight.requires_grad_(False)
    state = model.state_dict()
    del state['fc.weight']
    assert state_mismatch(model, state)[0] == ['fc.weight']
    state[FINGERPRINT] = torch.zeros(64, dtype=torch.uint8)
    assert state_mismatch(model, state) == ([], [], [])
    del state['fc.bias']
    assert state_mismatch(model, state)[0] == ['fc.bias']


def test_unwrap():
    model = Model()
    assert unwrap(Averaging(model)) is model
    assert unwrap(nn.DataParallel(Averaging(model))) is model


@pytest.mark.parametrize('model', [Model(), Averaging(Model())])
def test_testing_refuses(model):
    hook = CheckpointFitHook(training=False)
    hook.after_load_checkpoint(
        runner(model), dict(state_dict=Model().state_dict())
    )
    hook.after_load_checkpoint(runner(model), Model().state_dict())
    with pytest.raises(
        UsageError,
        match=r'x.pth should have exactly the 3 weights of this model, but '
        r'lacks mapping, fc.weight: it was made with another',
    ):
        state = {'fc.bias': torch.zeros(3)}
        hook.after_load_checkpoint(runner(model), dict(state_dict=state))


def test_training_starts_from_what_fits_but_for_what_is_allowed():
    part = {'fc.bias': torch.zeros(3), 'fc.weight': torch.zeros(9, 2)}
    hook = CheckpointFitHook(training=True)
    with pytest.raises(
        UsageError, match='lacks mapping, and has fc.weight in another shape'
    ):
        hook.after_load_checkpoint(runner(Model()), dict(state_dict=part))
    allowed = CheckpointFitHook(True, ('map*', 'fc.weight'))
    allowed.after_load_checkpoint(runner(Model()), dict(state_dict=part))
    assert list(part) == ['fc.bias']  # else the host would warn
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
        with pytest.raises(UsageError, match='x.pth gives none of the 3 wei'):
            allowed.after_load_checkpoint(
                runner(Model()), dict(state_dict=state)
            )


def test_resuming_takes_all_or_nothing():
    hook = CheckpointFitHook(training=True, allowed='*')
    state = Model().state_dict()
    resumed = runner(Model(), resume=True)
    hook.after_load_checkpoint(resumed, dict(state_dict=state, optimizer={}))
    with pytest.raises(UsageError, match='no state of the optimizer'):
        hook.after_load_checkpoint(resumed, dict(state_dict=state))
    del state['fc.bias']
    with pytest.raises(UsageError, match='x.pth .* lacks fc.bias'):
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
    with pytest.raises(UsageError, match=r'has backbone.bias_delta.v that th'):
        hook.after_load_checkpoint(runner(model), dict(state_dict=state))


@pytest.mark.parametrize(
    'tested, sentence',
    [
        (('a', 'c'), 'has 2; in one of them only: b'),
        (('a', 'c', 'b'), 'has 3; give'),
        (('a', 'b', 'c'), None),
        (None, None),
    ],
)
def test_a_test_set_numbers_its_classes_as_the_training(tested, sentence):
    model, hook = Model(), CheckpointFitHook(training=False)
    content = dict(
        state_dict=model.state_dict(),
        meta=dict(dataset_meta=dict(classes=('a', 'b', 'c'))),
    )
    if sentence is None:
        hook.after_load_checkpoint(runner(model, classes=tested), content)
        return
    with pytest.raises(UsageError, match=sentence):
        hook.after_load_checkpoint(runner(model, classes=tested), content)
