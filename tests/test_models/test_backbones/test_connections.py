"""Prompts that pass on to the next layer."""

import pytest
import torch

from mmdavpt.models import DAVPTVisionTransformer

from .test_davpt_vit import build, gradients, images


def test_propagate_is_vpt_shallow():
    vit = build(num_prompts=(4, 0, 0), propagate=True, out_type='raw')
    x = images()
    tokens, *_ = vit.embed(x, {})
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
    """Connect the prompts with plain code."""
    x, *_ = vit.embed(images, {})
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


@pytest.mark.parametrize('out_type', ['cls_token', 'raw'])
def test_gates_with_shallow_prompts_are_gatevpt(out_type):
    """Each gate mixes the prompts that enter a layer with its outputs."""
    vit = build(propagate='gate', num_prompts=(4, 0, 0), out_type=out_type)
    assert [*vit.prompts] == ['0'] and vit.gate_logits.shape == (2,)
    with torch.no_grad():
        vit.gate_logits.copy_(torch.tensor([-0.5, 1.0]))
    x, *_ = vit.embed(images(), {})
    prompts = vit.prompts['0'].expand(2, -1, -1)
    for i, layer in enumerate(vit.layers):
        entered = prompts
        x = layer(torch.cat([x[:, :1], prompts, x[:, 1:]], dim=1))
        prompts, x = x[:, 1:5], torch.cat([x[:, :1], x[:, 5:]], dim=1)
        if i < 2:
            g = 1 / (1 + torch.exp(-vit.gate_logits[i]))
            prompts = g * prompts + (1 - g) * entered
    x = vit.ln1(x)
    expected = x[:, 0] if out_type == 'cls_token' else x
    out = vit(images())[0]
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-10)
    assert all(g.abs().max() > 0 for g in gradients([out], vit).values())


def test_limits_of_shallow_gates():
    options = dict(num_prompts=(4, 0, 0), perturb=False)
    vit = build(propagate='gate', **options)
    assert vit.gate_logits.tolist() == [-10.0, -10.0]
    vit.gate_logits.data.fill_(100.0)
    opened = build(propagate=True, **options)
    torch.testing.assert_close(vit(images())[0], opened(images())[0])
    vit.gate_logits.data.fill_(-100.0)
    closed = build(num_prompts=4, perturb=False)  # the same prompts each time
    for prompts in closed.prompts.values():
        prompts.data.copy_(vit.prompts['0'])
    torch.testing.assert_close(vit(images())[0], closed(images())[0])


def test_gatevpt_has_the_published_parameters():
    with torch.device('meta'):
        vit = DAVPTVisionTransformer(
            arch='b',
            num_prompts=(100, *[0] * 11),
            propagate='gate',
            tuners=[dict(type='AttentionTemperature')],
        )
    trained = [p.numel() for p in vit.parameters() if p.requires_grad]
    assert sorted(trained) == [11, 12, 76_800]


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(propagate='mix'), '`propagate` should be one of'),
        (dict(propagate='sum', num_prompts=(4, 4, 3)), 'same number of pro'),
        (dict(propagate='gate', num_prompts=0), 'at least one, but got'),
        (dict(propagate='gate', num_prompts=(0, 4, 0)), 'only the first'),
        (dict(propagate='sum', num_prompts=(4, 0, 0)), 'only the first'),
        (dict(propagate='sum', out_indices=[0]), 'of two and more layers'),
    ],
)
def test_invalid_connections(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)
