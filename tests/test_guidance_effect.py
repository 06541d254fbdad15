"""The measurements of guidance_effect.py are right on a toy model."""

import sys
from pathlib import Path

import pytest
import torch

from .test_models.test_guidance.test_prompt_guidance import (
    batch,
    build,
    set_mapping,
    toy,
)

TOOLS = Path(__file__).resolve().parents[1] / 'tools' / 'analysis_tools'
sys.path.insert(0, str(TOOLS))
import guidance_effect as effect  # noqa: E402


@pytest.fixture
def model():
    model = build(toy.classification)
    set_mapping(model)
    return model


@pytest.fixture
def data():
    inputs, data_samples = batch()
    return [dict(inputs=inputs, data_samples=data_samples)]


def test_shares_by_hand(model, data):
    with torch.no_grad():
        model.backbone.prompts['1'].normal_(std=5.0)
    tokens = model.backbone.forward_with_tokens(
        data[0]['inputs'], model.guidance.request(torch.arange(6))
    )[1].guided[1]
    cls, prompts = (
        torch.nn.functional.normalize(tokens[name], dim=-1)
        for name in ('cls_query', 'prompt_query')
    )
    near = (cls @ prompts.T).argmax(dim=1)
    # With one prompt for all classes, its share is that of who is near it.
    for prompt in range(3):
        set_mapping(model, [prompt] * 6)
        share = effect.nearest_shares(model, data)['loss_guidance_cls']
        expected = 100 * (near == prompt).float().mean().item()
        assert share == pytest.approx(expected)


def test_gradients_of_head_and_guidance(model, data):
    model.train()
    losses = model.loss(data[0]['inputs'], data[0]['data_samples'])
    prompts = model.backbone.prompts['1']
    head = torch.autograd.grad(
        losses['loss_head'], prompts, retain_graph=True
    )[0]
    guidance = torch.autograd.grad(
        losses['loss_guidance_token'] + losses['loss_guidance_cls'], prompts
    )[0]
    found = effect.prompt_gradients(model, data)[1]
    assert found['head'] == pytest.approx(head.norm().item(), rel=1e-5)
    assert found['guidance'] == pytest.approx(guidance.norm().item(), rel=1e-5)
    cosine = (head * guidance).sum() / head.norm() / guidance.norm()
    assert found['cosine'] == pytest.approx(cosine.item(), abs=1e-5)


def test_prompts_are_removed_and_restored(model, data):
    inputs = data[0]['inputs']
    model.eval()
    with torch.no_grad():
        model.backbone.prompts['1'].mul_(50)
        whole = model.extract_feat(inputs)[0]
        with effect.without_prompts(model, 1):
            without = model.extract_feat(inputs)[0]
        again = model.extract_feat(inputs)[0]
    assert not torch.allclose(whole, without)
    assert torch.equal(whole, again)


def test_top1_by_hand(model):
    inputs, data_samples = batch(7)  # the first class twice
    head = model.head.fc
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([1.0, 0, 0, 0, 0, -1]))
    data = [dict(inputs=inputs, data_samples=data_samples)]
    assert effect.top1(model, data) == pytest.approx(200 / 7)


def test_report_has_a_row_for_each_layer_in_order(data):
    deep = {'model.backbone.arch.num_layers': 11}
    model = build(toy.classification, deep)
    set_mapping(model)
    lines = effect.report(model, data, data).splitlines()
    assert lines[0].startswith('top-1 ')
    rows = [line.split('|')[1:3] for line in lines[-11:]]
    assert [int(layer) for layer, _ in rows] == [*range(11)]
    # The prompts' parameters are in the order 0, 1, 10, 2, ...
    gradients = effect.prompt_gradients(model, data)
    names = list(model.backbone.prompts)
    for layer, gradient in rows:
        own = gradients[names.index(layer.strip())]['head']
        assert float(gradient) == pytest.approx(own, rel=0.1)
    assert 'chance 33 %' in '\n'.join(lines)


def test_batches_are_of_images_drawn_from_the_whole_dataset(model):
    cfg = toy.classification('unused')
    loader = dict(cfg['train_dataloader'], batch_size=8)
    loader['sampler'] = dict(type='DefaultSampler', shuffle=False)
    (first,) = effect.batches(model, loader, 1)
    found = [s.sample_idx for s in first['data_samples']]
    assert found != [*range(8)] and len({*found}) == 8
    every = effect.batches(model, loader, 99)
    found = [s.sample_idx for b in every for s in b['data_samples']]
    assert sorted(found) == [*range(24)]
