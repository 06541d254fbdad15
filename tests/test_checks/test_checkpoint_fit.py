"""A checkpoint that does not fit the model is refused."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseModel, BaseTTAModel
from torch import nn

from mmdavpt.checks.checkpoint_fit import (
    CheckpointFitHook,
    missing_parameters,
    surplus_names,
    unwrap,
)
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
        _load_from='x.pth',
        test_dataloader=SimpleNamespace(dataset=dataset),
    )


def test_missing_parameters():
    model = Model()
    state = model.state_dict()
    assert missing_parameters(model, state) == []
    wrapped = {f'module.{name}': value for name, value in state.items()}
    assert missing_parameters(model, wrapped) == []
    del state['mapping']  # a buffer may be made anew
    assert missing_parameters(model, state) == []
    state['fc.weight'] = torch.zeros(3, 3)
    assert missing_parameters(model, state) == ['fc.weight']
    assert missing_parameters(model, {}) == ['fc.weight', 'fc.bias']


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
        match=r'x.pth lacks 2 \(such as fc.weight, fc.bias\) '
        'of the 2 parameters',
    ):
        hook.after_load_checkpoint(runner(model), dict(state_dict={}))


def test_training_starts_from_a_part_but_not_from_nothing():
    hook = CheckpointFitHook(training=True)
    part = {'fc.bias': torch.zeros(3)}
    hook.after_load_checkpoint(runner(Model()), dict(state_dict=part))
    for state in ({}, {'blocks.0.attn.qkv.weight': torch.zeros(3)}):
        with pytest.raises(UsageError, match='x.pth gives none of the 2 par'):
            hook.after_load_checkpoint(runner(Model()), dict(state_dict=state))
    with pytest.raises(UsageError, match='x.pth lacks 1'):
        hook.after_load_checkpoint(
            runner(Model(), resume=True), dict(state_dict=part)
        )


def test_a_checkpoint_with_more_than_the_model_is_refused():
    """Such as tuned biases, when the option that adds them is forgotten."""
    model = Model()
    state = {f'module.{k}': v for k, v in model.state_dict().items()}
    assert surplus_names(model, state) == []
    hook = CheckpointFitHook(training=False)
    state['guidance.mapping'] = torch.zeros(3)
    hook.after_load_checkpoint(runner(model), dict(state_dict=state))
    state['backbone.bias_delta.v'] = torch.zeros(3)
    with pytest.raises(
        UsageError, match=r'x.pth has 1 \(such as backbone.bias_delta.v\)'
    ):
        hook.after_load_checkpoint(runner(model), dict(state_dict=state))
    hook = CheckpointFitHook(training=True)  # `load_from`: a part is wanted
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
