"""The prompted ViT equals the parent and the concatenated form."""

import copy

import pytest
import torch
from mmpretrain.models import VisionTransformer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmdavpt.models import DAVPTVisionTransformer
from mmdavpt.models.backbones import TOKEN_NAMES, TokenRequest

from ..test_tuners.reference import PlainPass
from .concatenated import concatenated_forward

ARCH = dict(embed_dims=32, num_layers=3, num_heads=4, feedforward_channels=48)


def build(dtype=torch.float64, perturb=True, **kwargs):
    """Return a tiny ViT whose weights are all far from their initial ones."""
    torch.manual_seed(0)
    cfg = dict(arch=ARCH, img_size=32, patch_size=8, num_prompts=4)
    vit = DAVPTVisionTransformer(**{**cfg, **kwargs}).to(dtype)
    if perturb:
        with torch.no_grad():
            for parameter in vit.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return vit


def images(batch_size=2, size=(32, 32), dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch_size, 3, *size, generator=generator, dtype=dtype)


def gradients(outs, vit):
    loss = sum(
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()
        for out in outs
    )
    names = [n for n, p in vit.named_parameters() if p.requires_grad]
    grads = torch.autograd.grad(
        loss,
        [p for p in vit.parameters() if p.requires_grad],
        allow_unused=True,
    )
    return dict(zip(names, grads, strict=True))


@pytest.mark.parametrize(
    'out_type', ['cls_token', 'featmap', 'avg_featmap', 'raw']
)
@pytest.mark.parametrize(
    'num_prompts', [0, 1, 5, (5, 0, 0), (0, 5, 0), (0, 0, 5), (2, 3, 7)]
)
def test_prefix_equals_concatenated_form(out_type, num_prompts):
    vit = build(
        num_prompts=num_prompts,
        out_type=out_type,
        out_indices=[0, 2],
        layer_scale_init_value=0.0,
        trainable=['layers.*', 'cls_token', 'pos_embed', 'patch_embed.*'],
    )
    x = images()
    outs, expected = vit(x), concatenated_forward(vit, x)
    assert len(outs) == 2
    for out, reference in zip(outs, expected, strict=True):
        torch.testing.assert_close(out, reference, rtol=0, atol=1e-10)
    ours, theirs = gradients(outs, vit), gradients(expected, vit)
    for name, grad in theirs.items():
        torch.testing.assert_close(ours[name], grad, rtol=1e-10, atol=1e-9)
        assert grad.abs().max() > 0, name


@pytest.mark.parametrize('out_type', ['featmap', 'raw'])
def test_prefix_equals_concatenated_form_without_cls(out_type):
    vit = build(with_cls_token=False, out_type=out_type, num_prompts=(2, 0, 3))
    x = images()
    outs, expected = vit(x), concatenated_forward(vit, x)
    torch.testing.assert_close(outs[0], expected[0], rtol=0, atol=1e-10)
    for name, grad in gradients(expected, vit).items():
        torch.testing.assert_close(
            gradients(vit(x), vit)[name], grad, rtol=1e-10, atol=1e-9
        )


@pytest.mark.parametrize('bias', [('k', 'v'), ('q',), ('q', 'k', 'v')])
@pytest.mark.parametrize('num_prompts', [0, 4])
def test_bias_delta_equals_a_shifted_bias(bias, num_prompts):
    vit = build(bias=bias, num_prompts=num_prompts)
    x = images()
    outs = vit(x)
    expected = concatenated_forward(vit, x, with_deltas=True)
    torch.testing.assert_close(outs[0], expected[0], rtol=0, atol=1e-10)
    ours, theirs = gradients(outs, vit), gradients(expected, vit)
    for name, grad in theirs.items():
        torch.testing.assert_close(ours[name], grad, rtol=1e-10, atol=1e-9)


def test_bias_delta_starts_at_zero_and_moves_the_output():
    vit = build(bias=('k', 'v'), perturb=False)
    plain = build(perturb=False)
    torch.testing.assert_close(
        vit(images())[0], plain(images())[0], rtol=0, atol=1e-12
    )
    with torch.no_grad():
        vit.bias_delta.v.add_(0.5)
    assert (vit(images())[0] - plain(images())[0]).abs().max() > 1e-3


def test_key_delta_has_no_gradient_through_attention():
    """Adding one constant to all keys leaves the softmax unchanged."""
    vit = build(bias=('k', 'v'))
    grads = gradients(vit(images()), vit)
    assert grads['bias_delta.k'].abs().max() < 1e-10
    assert grads['bias_delta.v'].abs().max() > 1e-3


def test_value_delta_is_a_shift_of_the_projection_bias():
    """Softmax rows sum to one, so DA-VPT+ folds away exactly."""
    vit = build(bias=('k', 'v'))
    folded = build(bias=('k', 'v'))
    folded.load_state_dict(vit.state_dict())
    with torch.no_grad():
        for i, layer in enumerate(folded.layers):
            layer.attn.proj.bias += (
                layer.attn.proj.weight @ (folded.bias_delta.v[i])
            )
        folded.bias_delta.v.zero_()
        folded.bias_delta.k.zero_()
    assert vit.bias_delta.v.abs().max() > 0.1
    torch.testing.assert_close(
        folded(images())[0], vit(images())[0], rtol=0, atol=1e-10
    )


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(out_type='cls_token'),
        dict(out_type='featmap', out_indices=[0, 1, 2], final_norm=False),
        dict(out_type='avg_featmap'),
        dict(out_type='raw', with_cls_token=False),
        dict(out_type='raw', pre_norm=True, layer_scale_init_value=0.0),
    ],
)
@pytest.mark.parametrize('size', [(32, 32), (40, 24), (37, 30)])
def test_no_prompts_equals_parent_bit_for_bit(kwargs, size):
    vit = build(dtype=torch.float32, num_prompts=0, **kwargs)
    parent = VisionTransformer(arch=ARCH, img_size=32, patch_size=8, **kwargs)
    parent.load_state_dict(vit.state_dict(), strict=True)
    vit.eval(), parent.eval()
    x = images(size=size, dtype=torch.float32)
    for ours, theirs in zip(vit(x), parent(x), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    'arch',
    sorted(
        {
            'small',
            'base',
            'large',
            'huge',
            'eva-g',
            'deit-tiny',
            'deit-small',
            'dinov2-g',
        }
    ),
)
def test_all_parent_architectures_build(arch):
    with torch.device('meta'):
        vit = DAVPTVisionTransformer(arch=arch, num_prompts=20)
    assert len(vit.prompts) == vit.num_layers
    trainable = sum(p.numel() for p in vit.parameters() if p.requires_grad)
    assert trainable == 20 * vit.num_layers * vit.embed_dims


def remaining_operations(vit, x):
    """Return the operations of the prefix over those of the plain form."""
    counts = []
    for run in (lambda: vit(x), lambda: concatenated_forward(vit, x)):
        with FlopCounterMode(display=False) as counter:
            run()[0].sum().backward()
        counts.append(counter.get_total_flops())
    return counts[0] / counts[1]


def test_prefix_needs_fewer_operations():
    """As many prompts as patches: about half of the rows are saved."""
    assert remaining_operations(build(num_prompts=16), images()) < 0.7


class Joins(TorchDispatchMode):
    """Count how often tensors are joined, which copies them."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten.cat.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    'kwargs, in_layers',
    [
        (dict(num_prompts=0, out_type='featmap'), 0),
        (dict(out_type='featmap'), 3),
        (dict(num_prompts=(0, 0, 4), out_type='raw'), 1),
        (dict(propagate=True, num_prompts=(4, 0, 0)), 1),
        (dict(propagate='sum'), 3),
    ],
)
def test_tokens_are_copied_only_to_add_prompts(kwargs, in_layers):
    vit = build(out_indices=[0, 1, 2], **kwargs)
    with Joins() as joins:
        vit(images())
    assert joins.count == 1 + in_layers  # [CLS] and the patches, at first


@pytest.mark.slow
@pytest.mark.parametrize(
    'num_prompts, part', [(5, 0.90), (20, 0.84), (60, 0.72), (100, 0.64)]
)
def test_operations_of_vit_b_are_those_of_the_readme(num_prompts, part):
    vit = DAVPTVisionTransformer(arch='b', num_prompts=num_prompts)
    x = images(size=(224, 224), dtype=torch.float32)
    assert round(remaining_operations(vit, x), 2) == part


def test_swiglu_and_layer_scale_layers_run():
    vit = build(
        layer_cfgs=dict(ffn_type='swiglu_fused'), layer_scale_init_value=0.1
    )
    x = images()
    torch.testing.assert_close(
        vit(x)[0], concatenated_forward(vit, x)[0], rtol=0, atol=1e-10
    )


def test_prompts_start_as_in_vpt():
    vit = build(dtype=torch.float32, perturb=False, num_prompts=200)
    bound = (6 / (3 * 8 * 8 + 32)) ** 0.5
    values = torch.cat(list(vit.prompts.values()))
    assert values.abs().max() <= bound
    assert values.abs().max() > 0.98 * bound
    assert abs(values.std().item() - bound / 3**0.5) < 0.02 * bound


def test_init_weights_keeps_prompts():
    vit = build(dtype=torch.float32, perturb=False)
    before = copy.deepcopy(dict(vit.prompts))
    vit.init_weights()
    for layer, prompts in vit.prompts.items():
        assert torch.equal(prompts, before[layer])
    assert vit.pos_embed.abs().max() > 0


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
def test_checkpointing_changes_no_gradient(out_type):
    request = TokenRequest((1, 2), TOKEN_NAMES, torch.tensor([0, 3]))
    results = []
    for with_cp in (False, True):
        vit = build(with_cp=with_cp, out_type=out_type, bias=('v',)).train()
        runs = []
        vit.layers[1].ffn.register_forward_pre_hook(
            lambda *_, runs=runs: runs.append(1)
        )
        outs, tokens = vit.forward_with_tokens(images(), request)
        outs = (*outs, *tokens.guided[2].values(), *tokens.guided[1].values())
        results.append(gradients(outs, vit))
        assert len(runs) == 1 + with_cp  # once more in backward
    for name, grad in results[0].items():
        assert grad is not None and grad.abs().max() > 0
        torch.testing.assert_close(results[1][name], grad)


def test_out_indices_are_given_once():
    with pytest.raises(ValueError, match='out of the 3 .* each once, but got'):
        build(out_indices=[0, 0, 2])


@pytest.mark.parametrize('given', [[0, -1], (0, -1)])
def test_out_indices_of_a_config_are_not_changed(given):
    before = copy.copy(given)
    assert build(out_indices=given).out_indices == [0, 2]
    assert given == before


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(num_prompts=-1), 'at least 0'),
        (dict(num_prompts=(1, 2)), 'each of the 3 layers'),
        (dict(num_prompts=2.5), 'num_prompts'),
        (dict(bias=('x',)), 'parts out of'),
        (dict(bias=('k', 'k')), 'each once'),
        (dict(trainable=['layers.9.*']), 'matches no parameter'),
        (dict(trainable='layers.*'), 'list of strings'),
        (dict(frozen_stages=2), 'frozen_stages'),
    ],
)
def test_invalid_arguments(kwargs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build(**kwargs)


@pytest.mark.parametrize('pool_prompts', [False, True])
@pytest.mark.parametrize(
    'final_norm, pool_norm', [(True, False), (False, True), (True, True)]
)
def test_pooling_rules(final_norm, pool_norm, pool_prompts):
    vit = build(
        out_type='avg_featmap',
        final_norm=final_norm,
        pool_norm=pool_norm,
        pool_prompts=pool_prompts,
    )
    assert any(n.startswith('ln2.') for n in vit.state_dict()) == pool_norm
    targets = torch.zeros(2, dtype=torch.int64)
    (expected,), _ = PlainPass(vit)(images(), targets)
    torch.testing.assert_close(vit(images())[0], expected, rtol=0, atol=1e-10)
    vit.pool_prompts = not pool_prompts
    (other,), _ = PlainPass(vit)(images(), targets)
    assert (other - expected).abs().max() > 1e-4


@pytest.mark.parametrize(
    'option', [dict(pool_norm=False), dict(pool_prompts=True)]
)
def test_pooling_rules_need_pooling(option):
    with pytest.raises(ValueError, match="needs .out_type='avg_featmap'"):
        build(**option)
