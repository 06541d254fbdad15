"""The prompted ViT against the parent and against the concatenated form."""

import copy

import pytest
import torch
from mmpretrain.models import VisionTransformer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmdavpt.models import DAVPTVisionTransformer
from mmdavpt.models.backbones import TOKEN_NAMES, TokenRequest

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
    """Return the operations of the prefix as a part of the plain form's."""
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
def test_tokens_are_copied_for_prompts_alone(kwargs, in_layers):
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


def test_prompts_are_initialised_as_vpt_does():
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


def test_propagate_is_vpt_shallow():
    vit = build(num_prompts=(4, 0, 0), propagate=True, out_type='raw')
    x = images()
    tokens, _ = vit._embed(x)
    prompts = vit.prompts['0'].expand(2, -1, -1)
    tokens = torch.cat([tokens[:, :1], prompts, tokens[:, 1:]], 1)
    for layer in vit.layers:
        tokens = layer(tokens)
    tokens = vit.ln1(tokens)
    expected = torch.cat([tokens[:, :1], tokens[:, 5:]], 1)
    torch.testing.assert_close(vit(x)[0], expected, rtol=0, atol=1e-10)
    deep = build(num_prompts=(4, 0, 0), out_type='raw')
    assert (deep(x)[0] - expected).abs().max() > 1e-3


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
def test_propagate_with_prompts_everywhere_equals_deep(out_type):
    cfg = dict(num_prompts=(4, 2, 3), out_type=out_type)
    x = images()
    torch.testing.assert_close(
        build(propagate=True, **cfg)(x)[0],
        build(**cfg)(x)[0],
        rtol=0,
        atol=1e-10,
    )


def connected_forward(vit, images, gates=None):
    """Pass the prompts' outputs on to the next layer's, the plain way."""
    x, _ = vit._embed(images)
    incoming = None
    for i, layer in enumerate(vit.layers):
        prompts = vit.prompts[str(i)].expand(x.shape[0], -1, -1)
        if incoming is not None and gates is None:
            prompts = prompts + incoming
        elif incoming is not None:
            g = 1 / (1 + torch.exp(-gates[i - 1]))
            prompts = g * incoming + (1 - g) * prompts
        count = prompts.shape[1]
        x = layer(torch.cat([x[:, :1], prompts, x[:, 1:]], dim=1))
        incoming = x[:, 1 : 1 + count]
        x = torch.cat([x[:, :1], x[:, 1 + count :]], dim=1)
    return vit.ln1(x)


@pytest.mark.parametrize('out_type', ['cls_token', 'raw'])
@pytest.mark.parametrize('propagate', ['sum', 'gate'])
def test_connected_prompts(propagate, out_type):
    vit = build(propagate=propagate, out_type=out_type)
    assert (vit.gate_logits is None) == (propagate == 'sum')
    if propagate == 'gate':
        assert vit.gate_logits.shape == (2,) and vit.gate_logits.max() < -8
        with torch.no_grad():
            vit.gate_logits.copy_(torch.tensor([-0.5, 1.0]))
    expected = connected_forward(vit, images(), vit.gate_logits)
    out = vit(images())[0]
    if out_type == 'cls_token':
        expected = expected[:, 0]
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    deep = build(out_type=out_type)
    assert (deep(images())[0] - out).abs().max() > 1e-3
    grads = gradients([out], vit)
    assert all(grad.abs().max() > 0 for grad in grads.values())


def gated(logit):
    vit = build(propagate='gate', perturb=False)
    assert vit.gate_logits.tolist() == [-10.0, -10.0]
    vit.gate_logits.data.fill_(logit)
    return vit


def test_closed_gates_are_vpt_deep():
    torch.testing.assert_close(
        gated(-100.0)(images())[0], build(perturb=False)(images())[0]
    )
    opened = gated(100.0)
    shallow = build(propagate=True, num_prompts=(4, 0, 0), perturb=False)
    shallow.prompts['0'].data.copy_(opened.prompts['0'])
    torch.testing.assert_close(opened(images())[0], shallow(images())[0])


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(propagate='mix'), '`propagate` should be one of'),
        (dict(propagate='sum', num_prompts=(4, 4, 3)), 'same number of pro'),
        (dict(propagate='gate', num_prompts=0), 'at least one, but got'),
        (dict(propagate='sum', out_indices=[0]), 'of two and more layers'),
    ],
)
def test_connections_that_make_no_sense(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


@pytest.mark.parametrize('propagate', [True, 'sum', 'gate'])
def test_guided_tokens_are_handed_out_where_prompts_go_on(propagate):
    """Patches are told from prompts, and prompts are the layer's own."""
    vit = build(propagate=propagate, out_type='featmap')
    request = TokenRequest((2,), frozenset(TOKEN_NAMES), torch.tensor([1, 3]))
    tokens = vit.forward_with_tokens(images(), request)[1].guided[2]
    assert tokens['patch_raw'].shape == (2, 16, 32)
    assert torch.equal(tokens['prompt_raw'], vit.prompts['2'])
    out, _ = vit.forward_with_tokens(images(), request)
    torch.testing.assert_close(out[0], vit(images())[0])


def test_frozen_weights_stay_frozen_and_in_eval_mode():
    vit = build(drop_rate=0.3, drop_path_rate=0.3, perturb=False)
    assert vit.train() is vit and vit.training
    trainable = [n for n, p in vit.named_parameters() if p.requires_grad]
    assert trainable == [f'prompts.{i}' for i in range(3)]
    modes = {n: m.training for n, m in vit.named_modules() if n}
    assert [n for n, mode in modes.items() if mode] == [
        'layers',
        'prompts',
        'prompt_cache',
        'tuners',
    ]
    x = images()
    assert torch.equal(vit(x)[0], vit(x)[0])  # no dropout acts
    assert vit.eval() is vit and not vit.prompts.training


def test_parts_that_train_are_in_train_mode():
    vit = build(trainable=['layers.1.ffn.*'], drop_rate=0.3).train()
    assert vit.layers[1].ffn.training and not vit.layers[0].training
    assert not vit.drop_after_pos.training
    full = build(trainable=['*']).train()
    assert all(m.training for m in full.modules())
    assert all(p.requires_grad for p in full.parameters())


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


def slow_tokens(vit, x, layer_index, targets, saliency_keys):
    """Compute guided tokens head by head from the concatenated form."""
    x, _ = vit._embed(x)
    for i in range(layer_index):
        prompts = vit.prompts[str(i)].expand(len(x), -1, -1)
        x = vit.layers[i](torch.cat([x[:, :1], prompts, x[:, 1:]], 1))
        x = torch.cat([x[:, :1], x[:, 1 + prompts.shape[1] :]], 1)
    layer = vit.layers[layer_index]
    prompts = vit.prompts[str(layer_index)]
    count = len(prompts)
    both = torch.cat([x[:, :1], prompts.expand(len(x), -1, -1), x[:, 1:]], 1)
    normed = layer.ln1(both)
    query, key, value = layer.attn.qkv(normed).chunk(3, -1)
    dims = vit.embed_dims // layer.attn.num_heads
    attended = torch.zeros_like(query)
    saliency = torch.zeros(len(x), vit.embed_dims, dtype=x.dtype)
    for head in range(layer.attn.num_heads):
        part = slice(head * dims, (head + 1) * dims)
        scores = query[..., part] @ key[..., part].mT / dims**0.5
        attended[..., part] = scores.softmax(-1) @ value[..., part]
        for b, target in enumerate(targets):
            first = 1 + count if saliency_keys == 'patches' else 0
            row = scores[b, 1 + target, first:].softmax(-1)
            saliency[b, part] = row @ value[b, first:, part]
    return dict(
        prompt_raw=prompts,
        prompt_input=normed[0, 1 : 1 + count],
        prompt_query=query[0, 1 : 1 + count],
        cls_input=normed[:, 0],
        cls_query=query[:, 0],
        patch_raw=x[:, 1:],
        patch_input=normed[:, 1 + count :],
        patch_query=query[:, 1 + count :],
        patch_key=key[:, 1 + count :],
        patch_output=attended[:, 1 + count :],
        saliency=saliency,
    )


@pytest.mark.parametrize('saliency_keys', ['patches', 'all'])
@pytest.mark.parametrize('layer', [0, 1, 2])
@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
def test_guided_tokens_equal_a_slow_reference(layer, saliency_keys, out_type):
    vit = build(out_type=out_type)
    targets = torch.tensor([2, 0])
    request = TokenRequest((layer,), TOKEN_NAMES, targets, saliency_keys)
    plain = vit(images())
    outs, tokens = vit.forward_with_tokens(images(), request)
    torch.testing.assert_close(outs, plain, rtol=0, atol=1e-12)
    assert set(tokens.guided) == {layer}
    expected = slow_tokens(vit, images(), layer, targets, saliency_keys)
    assert set(expected) == TOKEN_NAMES
    for name, value in expected.items():
        torch.testing.assert_close(
            tokens.guided[layer][name], value, rtol=0, atol=1e-10, msg=name
        )


def test_only_requested_tokens_are_handed_out():
    vit = build()
    request = TokenRequest((1,), frozenset(['cls_query']))
    _, tokens = vit.forward_with_tokens(images(), request)
    assert set(tokens.guided[1]) == {'cls_query'}
    assert vit.forward_with_tokens(images())[1].guided == {}


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
def test_unprompted_tokens_are_those_of_the_parent(out_type):
    vit = build(bias=('v',), out_type=out_type)
    parent = VisionTransformer(
        arch=ARCH, img_size=32, patch_size=8, out_type='raw'
    ).double()
    parent.load_state_dict(vit.state_dict(), strict=False)
    tokens = vit.unprompted_tokens(images()).cls
    torch.testing.assert_close(tokens, parent(images())[0][:, 0])
    assert (tokens - vit.forward_with_tokens(images())[1].cls).abs().max() > 1


def test_layers_above_the_last_output_are_not_run():
    vit = build(out_indices=[1], out_type='featmap')
    assert sorted(vit.prompts) == ['0', '1']
    grads = gradients(vit(images()), vit)
    assert all(grad is not None for grad in grads.values())
    full = build(out_indices=[1], out_type='featmap', trainable=['*'])
    grads = gradients(full(images()), full)
    assert 'layers.1.ffn.layers.1.bias' in grads and 'cls_token' in grads
    assert not [n for n in grads if n.startswith(('layers.2', 'ln1'))]
    assert all(grad is not None for grad in grads.values())
    assert vit.get_layer_depth('backbone.prompts.1', 'backbone.') == (2, 5)
    assert vit.get_layer_depth('layers.1.ln1.weight') == (2, 5)


@pytest.mark.parametrize('given', [[0, -1], (0, -1)])
def test_indices_of_a_config_stay_as_they_are(given):
    before = copy.copy(given)
    assert build(out_indices=given).out_indices == [0, 2]
    assert given == before


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap', 'avg_featmap'])
@pytest.mark.parametrize('out_indices', [[2], [0, 1]])
@pytest.mark.parametrize(
    'kwargs',
    [
        dict(bias=('q', 'k', 'v'), final_norm=False),
        dict(num_prompts=(2, 0, 0), propagate=True),
        dict(num_prompts=(0, 2, 0)),
        dict(propagate='sum', bias=('k', 'v')),
        dict(propagate='gate'),
        dict(num_prompts=0),
    ],
)
def test_all_that_trains_has_a_gradient(kwargs, out_indices, out_type):
    """Distributed training refuses parameters without one."""
    counts = kwargs.get('num_prompts')
    if isinstance(counts, tuple):
        kwargs = dict(kwargs, num_prompts=counts[: max(out_indices) + 1])
    vit = build(
        out_type=out_type,
        out_indices=[*out_indices],
        trainable=['*'],
        **kwargs,
    ).train()
    grads = gradients(vit(images()), vit)
    assert [name for name, grad in grads.items() if grad is None] == []


@pytest.mark.parametrize(
    'kwargs, first',
    [
        (dict(num_prompts=(0, 0, 4)), 2),
        (dict(num_prompts=(0, 4, 0)), 1),
        (dict(num_prompts=(0, 4, 0), with_cp=True), 1),
        (dict(num_prompts=(0, 4, 0), propagate=True), 1),
        (dict(num_prompts=(0, 0, 4), trainable=['layers.1.ffn.*']), 1),
        (dict(num_prompts=(0, 0, 4), bias=('v',)), 0),
        (dict(num_prompts=(0, 0, 4), trainable=['pos_embed']), 0),
    ],
)
def test_no_graph_below_the_first_layer_that_trains(kwargs, first):
    vit, graph = build(**kwargs).train(), []
    for layer in vit.layers:
        layer.ffn.register_forward_hook(
            lambda module, args, out: graph.append(out.requires_grad)
        )
    vit(images())
    assert graph == [i >= first for i in range(3)]


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
def test_bad_arguments(kwargs, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build(**kwargs)


def pooled_forward(vit, images, prompts_too):
    """Average the last layer's patches, and prompts, the plain way."""
    x, _ = vit._embed(images)
    for i, layer in enumerate(vit.layers):
        prompts = vit.prompts[str(i)].expand(x.shape[0], -1, -1)
        count = prompts.shape[1]
        x = layer(torch.cat([x[:, :1], prompts, x[:, 1:]], dim=1))
        if i < len(vit.layers) - 1:
            x = torch.cat([x[:, :1], x[:, 1 + count :]], dim=1)
    if vit.final_norm:
        x = vit.ln1(x)
    return vit.ln2(x[:, 1 if prompts_too else 1 + count :].mean(1))


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
    expected = pooled_forward(vit, images(), pool_prompts)
    torch.testing.assert_close(vit(images())[0], expected, rtol=0, atol=1e-10)
    other = pooled_forward(vit, images(), not pool_prompts)
    assert (other - expected).abs().max() > 1e-4


def test_pooled_prompts_are_no_patches_to_guidance():
    names = frozenset(TOKEN_NAMES)
    request = TokenRequest((2,), names, torch.tensor([1, 3]))
    tokens = {}
    for pool_prompts in (False, True):
        vit = build(out_type='avg_featmap', pool_prompts=pool_prompts)
        tokens[pool_prompts] = vit.forward_with_tokens(images(), request)[1]
    for name in names:
        torch.testing.assert_close(
            tokens[True].guided[2][name],
            tokens[False].guided[2][name],
            rtol=0,
            atol=1e-10,
        )


@pytest.mark.parametrize(
    'option', [dict(pool_norm=False), dict(pool_prompts=True)]
)
def test_pooling_rules_need_pooling(option):
    with pytest.raises(ValueError, match="should be 'avg_featmap'"):
        build(**option)
