"""Sums of gradient scores, against a slow reference."""

import copy
import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from torch import nn

from mmdavpt.engine import gradient_pass
from mmdavpt.engine.gradient_pass import select_parameters, sum_scores
from mmdavpt.errors import UsageError

from .. import toy

SPT = dict(type='SPT', budget=300, rank=2)
E2VPT = dict(type='E2VPT', num_tokens=2, prune_tokens=0.4)
UNGUIDED = {'model.guidance': None, 'custom_hooks': []}


def parts(tmp_path, task='classification', tuner=SPT, **changes):
    """Return a model, its tuner and a list of batches."""
    changes = {'model.backbone.tuners': [tuner], **UNGUIDED, **changes}
    cfg = getattr(toy, task)(tmp_path, changes, num_images=20)
    cfg['train_dataloader']['sampler'] = dict(type='DefaultSampler')
    cfg = Config(dict(cfg, runner_type='mmdavpt.DAVPTRunner'))
    runner = RUNNERS.build(cfg)
    runner._init_model_weights()
    model = runner.model
    (own,) = (t for t in model.backbone.tuners.values() if hasattr(t, 'first'))
    own.first = False
    if model.guidance is not None:
        model.fit_mapping(runner.train_dataloader)
    return model, own, [*runner.train_dataloader]


def reference(model, tuner, batches):
    """Return sums in which each loss is backpropagated into ``grad``."""
    model.train()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    sums = {}
    for batch in batches:
        model.zero_grad()
        data = model.data_preprocessor(batch, training=True)
        losses = model.loss(**data)
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        for parameter in tuner.watched(model.backbone):
            grad = parameter.grad
            if tuner.settings['type'] == 'SPT':
                added = grad**2
            else:
                products = (parameter.detach() * grad).view(-1, 16, 2).sum(2)
                whole = products.sum(1, keepdim=True)
                added = torch.cat([whole, products], 1).abs()
            sums[parameter] = sums.get(parameter, 0) + added
    return sums


@pytest.mark.parametrize('tuner', [SPT, E2VPT])
@pytest.mark.parametrize('guided', [False, True])
@pytest.mark.parametrize('task', ['classification', 'segmentation'])
def test_sums_are_those_of_a_slow_reference(task, guided, tuner, tmp_path):
    changes = {}
    if guided:
        guidance = getattr(toy, task)(tmp_path)['model']['guidance']
        changes['model.guidance'] = guidance
    model, own, batches = parts(tmp_path, task, tuner, **changes)
    found = sum_scores(model, own, batches[:2], seed=3)
    expected = reference(model, own, batches[:2])
    assert found.keys() == expected.keys() and len(found) > 1
    for parameter, total in expected.items():
        torch.testing.assert_close(
            found[parameter], total, rtol=1e-3, atol=1e-4 * float(total.max())
        )
    assert any(total.abs().max() > 0 for total in found.values())
    if guided:
        model.guidance = None
        without = reference(model, own, batches[:2])
        assert any(
            not torch.allclose(without[p], total, rtol=0.05)
            for p, total in found.items()
        )


def snapshot(model):
    return (
        {k: v.clone() for k, v in model.state_dict().items()},
        [p.requires_grad for p in model.parameters()],
        [m.training for m in model.modules()],
        [p.grad for p in model.parameters()],
    )


@pytest.mark.parametrize('task', ['classification', 'segmentation'])
def test_nothing_else_changes(task, tmp_path):
    """Weights, buffers, modes and random states are as before."""
    guidance = getattr(toy, task)(tmp_path)['model']['guidance']
    model, own, batches = parts(tmp_path, task, **{'model.guidance': guidance})
    model.eval()
    before = snapshot(model)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    draws = []

    def drawing():  # as transforms do
        for batch in batches:
            draws.append((random.random(), np.random.rand(), torch.rand(1)))
            yield batch

    sum_scores(model, own, drawing(), seed=7)
    drawn = random.random(), np.random.rand(), torch.rand(1)
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    assert drawn == (random.random(), np.random.rand(), torch.rand(1))
    sum_scores(model, own, drawing(), seed=7)
    assert draws[: len(batches)] == draws[len(batches) :]
    sum_scores(model, own, drawing(), seed=8)
    assert draws[0] != draws[-len(batches)]
    after = snapshot(model)
    assert before[1:] == after[1:]
    assert all(torch.equal(v, after[0][k]) for k, v in before[0].items())


def test_dropout_is_off_and_batches_are_normalized(tmp_path):
    changes = {'model.decode_head.dropout_ratio': 0.5}
    model, own, batches = parts(tmp_path, 'segmentation', **changes)
    assert any(isinstance(m, nn.Dropout2d) for m in model.modules())
    one = sum_scores(model, own, batches, seed=0)
    two = sum_scores(model, own, batches, seed=1)
    assert all(torch.equal(one[p], two[p]) for p in one)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(5)
            module.running_var.fill_(9)
    three = sum_scores(model, own, batches, seed=1)
    assert all(torch.equal(one[p], three[p]) for p in one)


def test_number_of_batches(tmp_path):
    model, own, batches = parts(tmp_path)
    found = sum_scores(model, own, batches, max_batches=1)
    expected = sum_scores(model, own, batches[:1])
    more = sum_scores(model, own, batches)
    assert all(torch.equal(found[p], expected[p]) for p in found)
    assert not any(torch.equal(found[p], more[p]) for p in found)


def test_checkpointing_changes_nothing(tmp_path):
    model, own, batches = parts(tmp_path)
    expected = sum_scores(model, own, batches)
    model.backbone.with_cp = True
    found = sum_scores(model, own, batches)
    for parameter, total in expected.items():
        torch.testing.assert_close(found[parameter], total)


def test_gradients_that_are_not_finite_are_refused(tmp_path):
    model, own, batches = parts(tmp_path)
    with torch.no_grad():
        model.head.fc.weight[0, 0] = torch.nan
    with pytest.raises(UsageError, match='should be finite'):
        sum_scores(model, own, batches)


def test_replaced_weights_are_no_weights_of_sensitivity_zero(tmp_path):
    """Some methods of peft compute with a changed copy of a weight."""
    model, own, batches = parts(tmp_path)
    qkv = model.backbone.layers[0].attn.qkv
    qkv.forward = copy.deepcopy(qkv).forward
    with pytest.raises(RuntimeError, match='not have been used'):
        sum_scores(model, own, batches)


def test_a_model_cannot_train_after_its_selection(tmp_path):
    changes = {'model.backbone.tuners': [SPT], **UNGUIDED}
    cfg = toy.classification(tmp_path, changes)
    runner = RUNNERS.build(
        Config(dict(cfg, runner_type='mmdavpt.DAVPTRunner'))
    )
    name, state = select_parameters(runner, max_batches=1)
    assert name == 'SPT' and any('indices' in key for key in state)
    with pytest.raises(UsageError, match='selection=None is not'):
        runner.model.train()


@pytest.mark.parametrize('given, batches', [(None, 8), (5, 5)])
def test_the_pass_of_spt_is_shuffled_and_short(
    given, batches, tmp_path, monkeypatch
):
    found = []

    def stop(model, tuner, loader, max_batches, seed):
        found.append((loader.sampler.shuffle, max_batches, seed))
        raise KeyboardInterrupt

    monkeypatch.setattr(gradient_pass, 'sum_scores', stop)
    changes = {'model.backbone.tuners': [SPT], 'randomness.seed': 3}
    cfg = toy.classification(tmp_path, {**UNGUIDED, **changes})
    cfg = Config(dict(cfg, runner_type='mmdavpt.DAVPTRunner'))
    with pytest.raises(KeyboardInterrupt):
        select_parameters(RUNNERS.build(cfg), given)
    assert found == [(True, batches, 3)]


def test_prompts_and_mapping_of_a_checkpoint_are_kept(tmp_path):
    hooks = [dict(type=f'mmdavpt.Prompt{n}Hook') for n in ('Mapping', 'Init')]
    changes = {'model.backbone.tuners': [E2VPT], 'custom_hooks': hooks}
    cfg = toy.classification(tmp_path, changes)
    cfg = Config(dict(cfg, runner_type='mmdavpt.DAVPTRunner'))
    cfg.load_from = str(tmp_path / 'trained.pth')
    runner = RUNNERS.build(cfg)
    model = runner.model
    model.fit_mapping(runner.train_dataloader)
    trained = copy.deepcopy(model.state_dict())
    mapping = trained['guidance.mapping']
    mapping.copy_((mapping + 1) % 3)
    torch.save(dict(state_dict=trained), cfg.load_from)
    select_parameters(runner, max_batches=1)
    for name, value in model.state_dict().items():
        if 'prompts' in name or name == 'guidance.mapping':
            assert torch.equal(value, trained[name]), name


class Given(nn.Module):
    def forward(self, data, training):
        return data


def test_sensitivity_is_the_effect_of_a_step(tmp_path):
    """A step of SGD of one weight lowers the loss by lr times it."""
    model, own, batches = parts(tmp_path)
    model, batch = model.double(), batches[0]
    data = model.data_preprocessor(batch, training=True)
    data['inputs'] = data['inputs'].double()
    model.data_preprocessor = Given()
    found = sum_scores(model, own, [data])
    parameter, total = max(found.items(), key=lambda item: item[1].max())
    place = divmod(int(total.argmax()), total.shape[1])
    model.train()

    def loss():
        return model.loss(**data)['loss']

    before, rate = loss(), 1e-3
    parameter.requires_grad_(True)
    (grad,) = torch.autograd.grad(loss(), [parameter])
    with torch.no_grad():
        parameter[place] -= rate * grad[place]
        lowered = before - loss()
    torch.testing.assert_close(lowered, rate * total[place], rtol=1e-2, atol=0)


def test_scores_of_weights_in_bfloat16_are_float32(tmp_path):
    half = {'model.backbone.frozen_dtype': 'bfloat16'}
    model, tuner, batches = parts(tmp_path, **half)
    sums = sum_scores(model, tuner, batches)
    assert {weight.dtype for weight in sums} == {torch.bfloat16}
    model.backbone.store_frozen(None)  # the rounded values
    expected = sum_scores(model, tuner, batches)
    for weight, total in sums.items():
        assert total.dtype == torch.float32
        torch.testing.assert_close(total, expected[weight], rtol=0, atol=0)
