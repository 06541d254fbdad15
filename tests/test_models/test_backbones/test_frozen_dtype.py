"""Frozen matrices in bfloat16: outputs are those of float32 in autocast."""

import copy
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmdavpt.api.multi_task import mixed_features
from mmdavpt.checkpoints.tuned import fingerprint, frozen_weights
from mmdavpt.errors import UsageError
from mmdavpt.models import (
    DAVPTTimmViT,
    DAVPTVisionTransformer,
    parameter_table,
)
from mmdavpt.models.backbones import TOKEN_NAMES, TokenRequest
from mmdavpt.models.export import fold_model
from mmdavpt.models.trainable import is_added
from mmdavpt.visualization.attention import layer_attention

from . import timm_models
from .test_davpt_vit import ARCH, build, gradients, images
from .test_precision_and_compilation import distance

REQUEST = TokenRequest((1, 2), TOKEN_NAMES, torch.tensor([0, 3]))
TINY = dict(arch=ARCH, img_size=32, patch_size=8, num_prompts=4)
CASES = [
    dict(),
    dict(propagate='gate', layer_scale_init_value=0.5),
    dict(propagate='sum', out_type='avg_featmap'),
    dict(with_cp=True, bias=('k', 'v'), out_type='raw'),
    dict(trainable=['*.bias', 'layers.1.*'], out_indices=[0, 2]),
    dict(tuners=[dict(type='LoRA'), dict(type='SSF')], out_type='featmap'),
    dict(tuners=[dict(type='Adapter'), dict(type='E2VPT', num_tokens=2)]),
    dict(tuners=[dict(type='MoSA'), dict(type='SNF')]),
]


def autocast():
    return torch.autocast('cpu', torch.bfloat16)


def twins(make=build, *args, **kwargs):
    """Return one model with float32 storage, and one with bfloat16."""
    vit = make(*args, dtype=torch.float32, **kwargs)
    low = copy.deepcopy(vit)
    low.store_frozen('bfloat16')
    return vit, low


def results(vit, x, context=nullcontext):
    """Return all that leaves a backbone, in float32, and gradients."""
    torch.manual_seed(0)
    with context():
        outs, tokens = vit.forward_with_tokens(x, REQUEST)
        unprompted = vit.unprompted_tokens(x).cls
        inputs = [*vit.layer_inputs(x)]
    guided = [tokens.guided[i][n] for i in (1, 2) for n in sorted(TOKEN_NAMES)]
    found = [*outs, *guided, tokens.cls, tokens.patches]
    found = [each.float() for each in found]
    grads = gradients(found, vit)
    return found, [unprompted.float(), *inputs], grads


def assert_same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize('kwargs', CASES)
def test_results_equal_float32_storage_in_autocast(kwargs):
    vit, low = twins(**kwargs)
    x = images(dtype=torch.float32)
    for training in (True, False):
        vit.train(training), low.train(training)
        assert_same(results(low, x), results(vit, x, autocast))
    with torch.no_grad():  # with cached prompts, and again
        for _ in range(2):
            cached = low(x)
            with autocast():
                assert_same(cached, tuple(out.float() for out in vit(x)))
    assert cached[0].dtype == torch.float32
    assert not torch.is_autocast_enabled('cpu')


@pytest.mark.parametrize(
    'name',
    [
        'vit_small_patch14_reg4_dinov2',
        'vit_giant_patch14_dinov2',  # SwiGLU
        'eva02_base_patch14_224',  # separate projections, rotary
        'vit_base_patch16_siglip_224',  # pooled by attention
    ],
)
def test_models_of_timm(name):
    kind = 'pooled' if 'siglip' in name else 'raw'
    vit, low = twins(timm_models.build, name, out_type=kind)
    x = timm_models.images(vit, dtype=torch.float32)
    assert_same(results(low, x), results(vit, x, autocast))


@pytest.mark.parametrize('kwargs', CASES)
def test_what_is_stored_in_bfloat16(kwargs):
    """Frozen weights of two or more dimensions, except positions and [CLS]."""
    vit = DAVPTVisionTransformer(**{**TINY, **kwargs}, frozen_dtype='bfloat16')
    for name, value in vit.named_parameters():
        small = value.ndim < 2 or name in ('pos_embed', 'cls_token')
        plain = small or value.requires_grad or is_added(name)
        dtype = torch.float32 if plain else torch.bfloat16
        assert value.dtype == dtype, name
    assert vit.state_dict()['frozen_dtype'].tolist() == [*b'bfloat16']
    plain = DAVPTVisionTransformer(**{**TINY, **kwargs})
    assert 'frozen_dtype' not in plain.state_dict()
    assert {p.dtype for p in plain.parameters()} == {torch.float32}


def test_vit_giant_needs_half_the_bytes():
    counts = {}
    with torch.device('meta'):
        for dtype in (None, 'bfloat16'):
            name = 'vit_giant_patch14_dinov2'
            vit = DAVPTTimmViT(name, frozen_dtype=dtype)
            counts[dtype] = sum(p.nbytes for p in vit.parameters())
    assert 4.54e9 < counts[None] < 4.56e9
    assert 2.27e9 < counts['bfloat16'] < 2.29e9


def kept_bytes(vit, batch_size, context=nullcontext):
    """Return the bytes kept for backward, without those of parameters."""
    own = {p.untyped_storage().data_ptr() for p in vit.parameters()}
    kept = {}

    def pack(value):
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes(), value
        return value

    x = images(batch_size, dtype=torch.float32)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        with context():
            vit(x)
    return sum(size for size, _ in kept.values())


def test_backward_keeps_no_copies_of_frozen_weights():
    vit, low = (vit.train() for vit in twins(num_prompts=(4, 0, 0)))
    plain = [kept_bytes(vit, size, autocast) for size in (2, 4)]
    ours = [kept_bytes(low, size) for size in (2, 4)]
    assert ours[1] - ours[0] == plain[1] - plain[0]  # of two images
    layers = sum(p.nbytes for p in low.layers.parameters() if p.ndim == 2)
    # No gradient reaches the input of the first layer's queries.
    assert plain[0] - ours[0] == layers - 2 * 32 * 32


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
def test_within_one_percent_of_float32(out_type):
    vit, low = twins(out_type=out_type, bias=())
    x = images(batch_size=8, dtype=torch.float32)
    exact, outs = vit.train()(x), low.train()(x)
    assert distance(outs[0], exact[0]) < 0.01
    wanted = gradients(exact, vit)
    for name, grad in gradients(outs, low).items():
        assert grad.dtype == torch.float32
        assert distance(grad, wanted[name]) < 0.02


def test_one_layer_by_hand():
    """A product of bfloat16: 1.012 is stored as 1.015625, the nearest."""
    vit = build(torch.float32, perturb=False, frozen_dtype='bfloat16')
    weight = nn.Parameter(torch.tensor([[1.012]]), requires_grad=False)
    vit.patch_embed.projection = nn.Linear(1, 1)
    vit.patch_embed.projection.weight = weight
    vit.store_frozen('bfloat16')
    assert weight.item() == 1 + 2 / 128
    with vit.precision():
        assert F.linear(torch.ones(1), weight).dtype == torch.bfloat16


def test_loading_rounds_to_the_nearest():
    vit = build(torch.float32)
    low = DAVPTVisionTransformer(**TINY, frozen_dtype='bfloat16')
    low.load_state_dict({**vit.state_dict(), 'frozen_dtype': low.frozen_dtype})
    for name, value in low.named_parameters():
        source = vit.get_parameter(name)
        assert_same(value, source.to(value.dtype))
    with pytest.raises(RuntimeError, match='Missing .*frozen_dtype'):
        low.load_state_dict(vit.state_dict())
    with pytest.raises(RuntimeError, match='Unexpected .*frozen_dtype'):
        vit.load_state_dict(low.state_dict())


@pytest.mark.parametrize(
    'kwargs, sentence',
    [
        (dict(frozen_dtype='float16'), "one of .None, 'bfloat16'., but got"),
        (dict(frozen_dtype='bfloat16', trainable=['*']), 'has no effect'),
    ],
)
def test_options_without_effect_are_refused(kwargs, sentence):
    with pytest.raises((UsageError, ValueError), match=sentence):
        DAVPTVisionTransformer(**TINY, **kwargs)


@pytest.mark.parametrize('amp', [torch.float16, torch.bfloat16])
def test_precision_holds_within_any_autocast(amp):
    _, low = twins(tuners=[dict(type='LoRA')])
    x = images(dtype=torch.float32)
    with torch.autocast('cpu', amp):
        within = low(x)
        assert torch.get_autocast_dtype('cpu') == amp
    assert_same(within, low(x))


def test_compiled_as_one_graph():
    torch.compiler.reset()
    _, low = twins(tuners=[dict(type='LoRA')])
    compiled = torch.compile(
        low.forward_with_tokens, fullgraph=True, backend='eager'
    )
    x = images(dtype=torch.float32)
    outs, tokens = compiled(x, REQUEST)
    plain, expected = low.forward_with_tokens(x, REQUEST)
    assert_same(outs, plain)
    assert_same(tokens.guided, expected.guided)


def test_folding_gives_float32_and_keeps_small_changes():
    """Changes far below the steps of bfloat16 are folded to float32."""
    vit, low = twins(tuners=[dict(type='LoRA')], perturb=False)
    with torch.no_grad():
        for up in low.tuners['LoRA'].up['q']:
            up.weight.normal_(std=1e-5)
    folded = fold_model(low)
    assert {p.dtype for p in folded.parameters()} == {torch.float32}
    assert folded.frozen_dtype is None
    assert 'frozen_dtype' not in folded.state_dict()
    view, rows = low.linear(0, 'q')
    lora = low.tuners['LoRA']
    product = lora.up['q'][0].weight @ lora.down['q'][0].weight
    change = folded.linear(0, 'q')[0].weight[rows] - view.weight[rows].float()
    torch.testing.assert_close(change, product, rtol=0.1, atol=1e-7)
    assert low.linear(0, 'q')[0].weight.dtype == torch.bfloat16
    x = images(dtype=torch.float32)
    low.store_frozen(None)
    torch.testing.assert_close(folded(x), low(x), rtol=1e-5, atol=1e-5)


def test_figures_and_table():
    vit, low = twins()
    x = images(dtype=torch.float32)
    found = layer_attention(low.eval(), x)
    assert distance(found[0], layer_attention(vit.eval(), x)[0]) < 0.02
    assert found[0].dtype == torch.float32
    stored = sum(p.numel() for p in low.parameters() if p.dtype.itemsize == 2)
    row = parameter_table(nn.ModuleDict(dict(backbone=low))).splitlines()[-1]
    assert row.split() == ['in', 'bfloat16', f'{stored:,}']


@torch.no_grad()
def test_tasks_in_one_pass():
    _, one = twins()
    other, x = copy.deepcopy(one.eval()), images(4, dtype=torch.float32)
    for prompts in other.prompts.values():
        prompts.neg_()
    found = mixed_features([one, other], x, [[0, 1], [2, 3]])
    assert distance(found[0].outs[0], one(x[:2])[0]) < 0.01
    assert distance(found[1].outs[0], other(x[2:])[0]) < 0.01


def test_casts_change_only_what_trains():
    """Frozen matrices of another type have another fingerprint."""
    vit = DAVPTVisionTransformer(**TINY, frozen_dtype='bfloat16')
    before, x = fingerprint(frozen_weights(vit)), torch.randn(2, 3, 32, 32)
    out = vit.eval()(x)
    assert torch.equal(fingerprint(frozen_weights(vit.float())), before)
    assert_same(vit(x), out)
    vit.half()
    assert vit.layers[0].attn.qkv.weight.dtype == torch.bfloat16
    assert vit.prompts['0'].dtype == torch.float16
    vit.requires_grad_(True).float()  # nothing to store, and no error
    assert vit.layers[0].attn.qkv.weight.dtype == torch.float32
