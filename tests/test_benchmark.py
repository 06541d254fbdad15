"""What a step costs, as counts that no busy machine can change."""

import functools
import json
import math
import time

import pytest
import torch
from mmpretrain.models import VisionTransformer
from torch import nn

from benchmarks import benchmark
from benchmarks.speed import cases, counting, report, timing
from benchmarks.speed.cases import Case
from benchmarks.speed.forms import FORMS
from benchmarks.speed.measuring import (
    Row,
    check_agreement,
    count,
)
from mmdavpt.errors import UsageError

MIB = 2**20
ARCH = dict(embed_dims=32, num_layers=4, num_heads=4, feedforward_channels=48)
TOY = Case('vit-toy', prompts=4, batch=2, size=32, classes=7, patch=8)


@pytest.fixture(autouse=True)
def toy_architecture(monkeypatch):
    monkeypatch.setitem(VisionTransformer.arch_zoo, 'toy', ARCH)


@functools.cache
def per_image(form, prompts=20, phase='training', model='vit-b', **kwargs):
    """Return FLOPs and bytes kept of an image of a batch of eight."""
    row = count(Case(model, prompts, **kwargs), form, phase)
    return row.flops / row.case.batch, row.kept / row.case.batch


@pytest.mark.parametrize('prompts, most', [(20, 0.84), (100, 0.62)])
def test_training_needs_fewer_operations_than_the_published_form(
    prompts, most
):
    ours, _ = per_image('vpt', prompts)
    published, _ = per_image('concatenated', prompts)
    assert ours / published <= most


@pytest.mark.parametrize('prompts', [20, 100])
def test_guidance_adds_less_than_a_hundredth(prompts):
    guided, _ = per_image('davpt', prompts)
    unguided, _ = per_image('vpt', prompts)
    assert 1 < guided / unguided < 1.001


def test_inference_with_prompts_needs_no_more_than_the_plain_host():
    prompted, kept = per_image('davpt', 20, 'inference')
    plain, _ = per_image('plain', 20, 'inference')
    assert prompted < plain
    assert kept == 0


def test_inference_needs_the_memory_of_the_plain_host():
    peaks = [
        count(Case('vit-b'), form, 'inference').peak
        for form in ('vpt', 'plain')
    ]
    assert peaks[0] <= 1.01 * peaks[1]


@pytest.mark.parametrize('prompts, most', [(20, 66.5), (100, 72.0)])
def test_bytes_kept_for_backward(prompts, most):
    _, kept = per_image('vpt', prompts)
    assert kept / MIB <= most


def test_guidance_keeps_little():
    _, guided = per_image('davpt')
    _, unguided = per_image('vpt')
    assert 0 < (guided - unguided) / MIB < 0.3


def test_layers_below_all_prompts_keep_nothing():
    flops, kept = per_image('vpt')
    upper_flops, upper_kept = per_image('vpt-upper')
    assert upper_kept < 0.51 * kept
    # Half of the backward, which is about half of a step.
    assert upper_flops < 0.76 * flops


def test_recomputation_keeps_the_inputs_of_layers_alone():
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
def test_guidance_of_a_segmentor_costs_next_to_nothing(model, size):
    case = dict(model=model, batch=1, size=size, classes=150)
    guided, guided_kept = per_image('davpt', **case)
    unguided, kept = per_image('vpt', **case)
    assert 1 < guided / unguided < 1.001
    assert 1 < guided_kept / kept < 1.01


def real_step(form, case=TOY):
    torch.manual_seed(0)
    model = cases.build_model(case, form).train()
    return model, *cases.training_step(model, case, 'cpu')


@pytest.mark.parametrize('form', ['concatenated', 'vpt', 'davpt'])
def test_fake_counts_are_those_of_a_real_step(form):
    _, forward, rest = real_step(form)
    fake = count(TOY, form, 'training')
    real = counting.count_training(forward, rest)
    assert real == dict(flops=fake.flops, kept=fake.kept, peak=fake.peak)


@pytest.mark.parametrize('form', ['concatenated', 'vpt', 'davpt-plus'])
def test_kept_bytes_are_those_that_autograd_saves(form):
    """A second way to count; what is alive is no less than what is saved."""
    model, forward, rest = real_step(form)
    known = {
        x.untyped_storage()._cdata
        for x in [*model.parameters(), *model.buffers()]
    }
    saved = counting.saved_bytes(forward, known)
    kept = counting.count_training(forward, rest)['kept']
    assert saved <= kept <= saved + 8 * 1024


def test_live_bytes_by_hand():
    x = torch.ones(1000, requires_grad=True)
    with counting.LiveBytes() as live:
        y = (x * 2) ** 2  # keeps 2x for backward, and gives y
        view = y[:10]
        assert live.now == 8000
        del y  # the view holds all of it
        assert live.now == 8000
        del view
        assert live.now == 0
        z = x + 1
        assert (live.now, live.peak) == (4000, 8000)
    del z
    assert live.now == 0


def test_operations_of_a_linear_layer_by_hand():
    layer = nn.Linear(5, 7)
    flops = counting.count_flops(lambda: layer(torch.ones(3, 5)))
    assert flops == 2 * 3 * 5 * 7


def test_all_forms_of_a_case_share_frozen_weights():
    models = {form: cases.build_model(TOY, form) for form in FORMS}
    cases.share_weights(models)
    of = [
        m.backbone.layers[0].attn.qkv.weight.data_ptr()
        for m in models.values()
    ]
    assert len(set(of)) == 1
    check_agreement(models, TOY, 'cpu')
    prompts = [
        m.backbone.prompts['3']
        for name, m in models.items()
        if name != 'plain'
    ]
    assert len({p.data_ptr() for p in prompts}) == len(prompts)
    with torch.no_grad():
        # More than a shift, which LN1 takes away.
        prompts[0].mul_(torch.rand_like(prompts[0]))
    with pytest.raises(UsageError, match='should give the same outputs'):
        check_agreement(models, TOY, 'cpu')


def test_plain_trains_the_head_alone():
    model = cases.build_model(TOY, 'plain')
    trained = [n for n, p in model.named_parameters() if p.requires_grad]
    assert trained == ['head.fc.weight', 'head.fc.bias']


def test_runs_take_turns_and_warm_up():
    order = []
    runs = {n: lambda n=n: order.append(n) for n in 'abc'}
    seconds = timing.interleave(runs, 3, 1, 'cpu')
    assert ''.join(order) == 'abcbcacababc'
    assert {n: len(s) for n, s in seconds.items()} == dict(a=3, b=3, c=3)


def test_sleep_is_no_work_of_the_processor():
    runs = {'sleep': lambda: time.sleep(0.05)}
    wall = timing.interleave(runs, 1, 0, 'cpu')['sleep'][0]
    worked = timing.interleave(runs, 1, 0, 'cpu', 'processor')['sleep'][0]
    assert worked < 0.05 <= wall


def test_ratios_are_of_the_same_round():
    """A machine that slows down tenfold changes no ratio."""
    slower = [1.0, 10.0, 100.0]
    assert timing.paired_ratio([0.8 * s for s in slower], slower) == (
        pytest.approx((0.8, 0.8, 0.8))
    )
    assert timing.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == (3.0, 2.0, 4.0)
    assert timing.spread([2.0]) == (2.0, 2.0, 2.0)


def test_table_by_hand():
    case = Case('vit-b', batch=2)
    rows = [
        Row(case, 'concatenated', 'training', 8 * 10**9, 4 * MIB, 6 * MIB, []),
        Row(case, 'vpt', 'training', 6 * 10**9, 3 * MIB, 5 * MIB, []),
    ]
    assert report.table(rows).splitlines() == [
        '| form | GFLOP/image | / concatenated | / vpt | kept MiB/image '
        '| peak MiB |',
        '| --- | --- | --- | --- | --- | --- |',
        '| concatenated | 4.00 | 1.000 | 1.333 | 2.0 | 6 |',
        '| vpt | 3.00 | 0.750 | 1.000 | 1.5 | 5 |',
    ]
    for row, seconds in zip(rows, (0.2, 0.1), strict=True):
        row.seconds, row.matmul = [seconds] * 3, 12e10
    assert report.table(rows).splitlines()[3] == (
        '| vpt | 3.00 | 0.750 | 1.000 | 1.5 | 5 | 50.0 [50.0, 50.0] | 20.0 '
        '| 0.500 [0.500, 0.500] | 1.000 [1.000, 1.000] | 50% |'
    )


def test_command_writes_what_it_prints(tmp_path, capsys):
    benchmark.main(
        ['--models', 'vit-toy', '--size', '32', '--batch', '1', '2']
        + ['--rounds', '2', '--warmup', '0', '--out', str(tmp_path)]
        + ['--forms', 'concatenated', 'davpt']
    )
    text = (tmp_path / 'benchmark.md').read_text(encoding='utf-8')
    assert capsys.readouterr().out.strip() in text.replace('\n\n\n', '\n\n')
    content = json.loads((tmp_path / 'benchmark.json').read_text())
    rows = report.from_json(content)
    assert [len(row.seconds) for row in rows] == [2] * 8
    assert [row.case.batch for row in rows] == [1] * 4 + [2] * 4
    assert all(math.isfinite(row.matmul) for row in rows)
    assert report.to_markdown(rows) in text


@pytest.mark.parametrize(
    'command, message',
    [
        (['--models', 'vit-x'], 'a model should be one of'),
        (['--models', 'resnet-50'], 'a model should be one of'),
        (['--precision', 'fp16', '--device', 'cpu'], 'fp16 is for a GPU'),
        (['--clock', 'processor', '--device', 'cuda'], 'for --device cpu'),
        (['--prompts', '0'], 'should be at least 1'),
    ],
)
def test_mistakes_are_sentences(command, message, capsys):
    with pytest.raises(SystemExit):
        benchmark.main([*command, '--count-only'])
    assert message in capsys.readouterr().err
