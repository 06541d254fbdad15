"""Costs of training and inference, as counts that no busy machine changes."""

import functools

import pytest
import torch
from mmpretrain.models import VisionTransformer
from torch import nn

from benchmarks.speed import cases, communication, counting
from benchmarks.speed.cases import Case
from benchmarks.speed.forms import FORMS
from benchmarks.speed.measuring import check_agreement, count
from mmdavpt.errors import UsageError

MIB = 2**20
ARCH = dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=48)
TOY = Case('vit-toy', prompts=4, batch=2, size=32, classes=7, patch=8)


@pytest.fixture(autouse=True)
def toy_architecture(monkeypatch):
    monkeypatch.setitem(VisionTransformer.arch_zoo, 'toy', ARCH)


@functools.cache
def per_image(form, prompts=20, phase='training', model='vit-b', **kwargs):
    """Return FLOPs and kept bytes per image of a batch of eight."""
    row = count(Case(model, prompts, **kwargs), form, phase)
    return row.flops / row.case.batch, row.kept / row.case.batch


@pytest.mark.parametrize(
    'prompts, most_flops, most_mib', [(20, 0.84, 65.1), (100, 0.62, 65.8)]
)
def test_training_costs_less_than_published(prompts, most_flops, most_mib):
    flops, kept = per_image('vpt', prompts)
    published, _ = per_image('concatenated', prompts)
    assert flops / published <= most_flops
    assert kept / MIB <= most_mib
    guided, guided_kept = per_image('davpt', prompts)
    assert 1 < guided / flops < 1.001
    # A guided layer keeps the keys and values of prompts for each image.
    layer = prompts * 2 * 768 * 4
    assert layer * 7 / 8 < guided_kept - kept < layer + 0.1 * MIB


def test_feature_maps_keep_what_one_image_needs():
    """Prompts are kept once per batch, and all else is the lower bound."""
    _, kept = per_image('vpt-maps', 100)
    dims, tokens, layers = 768, 197, 12
    # Inputs of two norms, q, k, v, attention output, four times as wide the
    # input of GELU; the first layer's input needs no gradient, but that of
    # the last norm does. Means and deviations of norms, sums of softmax.
    image = 4 * dims * tokens * (10 * layers - 1 + 1)
    image += 4 * tokens * layers * (2 * 2 + 12)
    prompts = 4 * 100 * layers * 2 * dims
    assert 0 < kept - image - prompts / 8 < 16 * 1024
    assert kept / MIB < 70.4


def test_inference_costs_no_more_than_the_plain_vit():
    prompted, kept = per_image('davpt', 20, 'inference')
    plain, _ = per_image('plain', 20, 'inference')
    assert prompted < plain and kept == 0
    peaks = [
        count(Case('vit-b'), form, 'inference').peak
        for form in ('vpt', 'plain')
    ]
    assert peaks[0] <= 1.01 * peaks[1]


def test_layers_below_all_prompts_keep_nothing():
    flops, kept = per_image('vpt')
    upper_flops, upper_kept = per_image('vpt-upper')
    assert upper_kept < 0.51 * kept
    # Half of the backward pass, which is about half of a step.
    assert upper_flops < 0.76 * flops


def test_cached_layers_cost_nothing():
    flops, kept = per_image('vpt', 100)
    upper_flops, upper_kept = per_image('vpt-upper', 100)
    cached_flops, cached_kept = per_image('vpt-upper-cached', 100)
    assert cached_flops / flops < 0.46
    # Six layers of 197 tokens, and the embedding of 196 patches.
    dims, tokens = 768, 197
    layer = 2 * 12 * dims * dims * tokens + 4 * dims * tokens * tokens
    patches = 2 * (tokens - 1) * dims * dims
    saved = upper_flops - cached_flops
    assert saved == 6 * layer + patches
    assert cached_kept <= upper_kept


def test_recomputation_keeps_only_the_inputs_of_layers():
    _, kept = per_image('vpt-checkpoint')
    tokens = 197 * 768 * 4
    assert 11 * tokens <= kept <= 13 * tokens


@pytest.mark.parametrize(
    'model, size',
    [
        ('setr-toy', 64),
        pytest.param('setr-l', 512, marks=pytest.mark.slow),
    ],
)
def test_guidance_of_a_segmentor_costs_almost_nothing(model, size):
    case = dict(model=model, batch=1, size=size, classes=150)
    guided, guided_kept = per_image('davpt', **case)
    unguided, kept = per_image('vpt', **case)
    assert 1 < guided / unguided < 1.001
    assert 1 < guided_kept / kept < 1.01


@pytest.mark.parametrize(
    'form, joining',
    [
        ('concatenated', 0),
        ('vpt', 4),
        ('vpt-maps', 4),
        ('davpt-plus', 3),
        ('vpt-upper-cached', 2),
    ],
)
def test_counts_are_those_of_a_real_step(form, joining):
    torch.manual_seed(0)
    model = cases.build_model(TOY, form).train()
    cached = FORMS[form].cached
    forward, rest = cases.training_step(model, TOY, 'cpu', cached)
    fake = count(TOY, form, 'training')
    real = counting.count_training(forward, rest)
    assert real == dict(flops=fake.flops, kept=fake.kept, peak=fake.peak)
    # A second way to count; at least the saved tensors are alive.
    known = {
        x.untyped_storage()._cdata
        for x in [*model.parameters(), *model.buffers()]
    }
    saved = counting.saved_bytes(forward, known)
    # Keys and values that backward joins: 17 tokens per image, 4 prompts.
    saved += joining * (2 * 17 + 4) * 2 * 32 * 4
    assert saved <= real['kept'] <= saved + 8 * 1024


def test_counts_by_hand():
    layer = nn.Linear(5, 7)
    flops = counting.count_flops(lambda: layer(torch.ones(3, 5)))
    assert flops == 2 * 3 * 5 * 7
    x = torch.ones(1000, requires_grad=True)
    with counting.LiveBytes() as live:
        y = (x * 2) ** 2  # keeps 2x for backward
        view = y[:10]
        assert live.now == 8000
        del y  # the view keeps all of it
        assert live.now == 8000
        del view
        assert live.now == 0
        z = x + 1
        assert (live.now, live.peak) == (4000, 8000)
    del z
    assert live.now == 0


def test_forms_share_weights_and_agree():
    models = {form: cases.build_model(TOY, form) for form in FORMS}
    cases.share_weights(models)
    qkv = {
        m.backbone.layers[0].attn.qkv.weight.data_ptr()
        for m in models.values()
    }
    assert len(qkv) == 1
    check_agreement(models, TOY, 'cpu')
    prompts = models['vpt'].backbone.prompts['3']
    with torch.no_grad():
        # More than a shift, which the norm removes.
        prompts.mul_(torch.rand_like(prompts))
    with pytest.raises(UsageError, match='should give the same outputs'):
        check_agreement(models, TOY, 'cpu')
    trained = {
        name
        for name, p in models['plain'].named_parameters()
        if p.requires_grad
    }
    assert trained == {'head.fc.weight', 'head.fc.bias'}


def test_summed_bytes_by_hand():
    """4 layers of 32 channels; 7 classes."""
    assert communication.bytes_of(TOY) == dict(
        prompts=4 * 4 * 32 * 4,
        head=(7 * 32 + 7) * 4,
        statistics=7 * 32 * 4 + 7 * 8 + 7 * 8,
    )
    unguided = communication.bytes_of(TOY, 'vpt')
    assert unguided['statistics'] == 0
    plus = communication.bytes_of(TOY, 'davpt-plus')
    assert plus['prompts'] - unguided['prompts'] == 4 * 2 * 32 * 4


@pytest.mark.slow
def test_two_processes_sum_the_counted_bytes():
    small = Case('vit-deit-tiny', prompts=4, batch=2, size=32, patch=8)
    run = communication.run_processes(small, processes=2, rounds=1)
    assert run['sent'] == sum(communication.bytes_of(small).values())
    assert len(run['seconds']) == len(run['cpu']) == 1
