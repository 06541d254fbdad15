"""Replaced and hooked projections of MMPretrain's layer take effect."""

import copy

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.backbones.vision_transformer import (
    TransformerEncoderLayer,
)
from mmpretrain.models.peft.lora import LoRALinear
from torch import nn
from torch.nn.utils import parametrizations, prune

from mmdavpt.models.backbones import view_of

from .concatenated import concatenated_forward
from .test_davpt_vit import build, gradients, images


class LowRank(nn.Linear):
    """An adapter that is an instance of a linear layer."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features)
        self.weight, self.bias = linear.weight, linear.bias
        self.down = nn.Parameter(torch.randn(2, self.in_features))
        self.up = nn.Parameter(torch.randn(self.out_features, 2))

    def forward(self, x):
        return super().forward(x) + F.linear(F.linear(x, self.down), self.up)


def wrapped(linear):
    module = LoRALinear(linear, rank=2)
    nn.init.normal_(module.lora_up.weight)
    return module


def hooked(linear):
    linear.register_forward_hook(lambda module, args, out: 1.5 * out)
    return linear


def hooked_before(linear):
    linear.register_forward_pre_hook(lambda module, args: (1.5 * args[0],))
    return linear


def parametrized(linear):
    parametrizations.weight_norm(linear)
    linear.parametrizations.weight.original0.data.mul_(1.5)
    return linear


def patched(linear):
    forward = linear.forward
    linear.forward = lambda x: 1.5 * forward(x)
    return linear


CHANGES = dict(
    subclass=LowRank,
    wrapped=wrapped,
    hooked=hooked,
    hooked_before=hooked_before,
    parametrized=parametrized,
    patched=patched,
    pruned=lambda linear: prune.ln_structured(linear, 'weight', 0.3, 2, 0),
)


def changed(name, **kwargs):
    vit = build(**kwargs)
    for layer in vit.layers:
        layer.attn.qkv = CHANGES[name](layer.attn.qkv).double()
    return vit.eval()


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
@pytest.mark.parametrize('name', CHANGES)
def test_projections_that_are_not_plain(name, out_type):
    vit, x = changed(name, out_type=out_type), images()
    expected = concatenated_forward(vit, x)
    plain = build(out_type=out_type)(x)[0]
    assert (expected[0] - plain).abs().max() > 1e-2
    outs = vit(x)
    torch.testing.assert_close(outs[0], expected[0], rtol=0, atol=1e-10)
    ours, theirs = gradients(outs, vit), gradients(expected, vit)
    for key, grad in theirs.items():
        torch.testing.assert_close(ours[key], grad, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize(
    'num_prompts, rows',
    [(4, [4, 17, 4, 17, 4, 17]), ((0, 5, 0), [17, 5, 17, 17])],
)
def test_adapters_see_tokens_once_and_prompts_once(num_prompts, rows):
    """Else each call would draw another dropout."""
    vit, seen = build(num_prompts=num_prompts), []
    for layer in vit.layers:
        layer.attn.qkv.register_forward_hook(
            lambda module, args, out: seen.append(args[0].shape[-2])
        )
    vit(images())
    assert seen == rows


@pytest.mark.parametrize('name', CHANGES)
def test_no_cache_of_projections_that_are_not_plain(name):
    """Their results may depend on anything."""
    vit, x = changed(name), images()
    with torch.no_grad():
        assert not vit.prompt_cache.get(vit, vit.acting_tuners())
        torch.testing.assert_close(
            vit(x)[0], concatenated_forward(vit, x)[0], rtol=0, atol=1e-10
        )


@pytest.mark.filterwarnings('ignore')
def test_dynamic_quantization():
    vit, x = build(torch.float32).eval(), images(dtype=torch.float32)
    small = torch.ao.quantization.quantize_dynamic(
        copy.deepcopy(vit), {nn.Linear}, dtype=torch.qint8
    )
    with torch.no_grad():
        exact, rounded = vit(x)[0], small(x)[0]
    error = (rounded - exact).norm() / exact.norm()
    assert 1e-4 < error < 0.1


@pytest.mark.parametrize('name', [None, 'wrapped'])
def test_parts_equal_slices_of_the_whole(name):
    vit = build(bias=('q', 'v')) if name is None else changed(name)
    layer, x = vit.layers[1], torch.randn(2, 5, 32, dtype=torch.float64)
    delta = {part: torch.randn(32, dtype=torch.float64) for part in 'qv'}
    project = view_of(layer, delta).project
    shift = torch.cat([delta['q'], torch.zeros_like(delta['q']), delta['v']])
    whole = layer.attn.qkv(x) + shift
    for parts, rows in dict(qkv=(0, 96), q=(0, 32), kv=(32, 96)).items():
        torch.testing.assert_close(project(x, parts), whole[..., slice(*rows)])


@pytest.mark.parametrize(
    'options',
    [
        dict(drop_path_rate=0.4),
        dict(drop_rate=0.3),
        dict(attn_drop_rate=0.3),
        dict(drop_path_rate=0.4, layer_scale_init_value=0.5),
    ],
)
def test_layers_that_train_drop_what_the_library_drops(options):
    """The steps of a view, with the same draws, give the library's output."""
    torch.manual_seed(0)
    arch = dict(embed_dims=32, num_heads=4, feedforward_channels=48)
    layer = TransformerEncoderLayer(**arch, **options).double().train()
    x = torch.randn(4, 5, 32, dtype=torch.float64)
    view, outs = view_of(layer), [layer.eval()(x)]
    for seed in range(3):
        torch.manual_seed(seed)
        outs.append(layer.train()(x))
        torch.manual_seed(seed)
        qkv = view.project(view.norm('norm1')(x)).chunk(3, dim=-1)
        attended = view.attend(*qkv)
        y = x + view.attention_output(attended, lambda part, x, y: y)
        y = y + view.mlp(view.norm('norm2')(y), lambda part, x, y: y)
        torch.testing.assert_close(y, outs[-1], rtol=0, atol=1e-10)
    assert len({out.sum().item() for out in outs}) == 4
