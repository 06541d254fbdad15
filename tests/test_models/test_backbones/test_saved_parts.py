"""Backward joins the keys and values of prompts and tokens again."""

import functools

import pytest
import torch

from mmdavpt.models.backbones import TokenRequest, forward_pass

from . import timm_models
from .test_davpt_vit import build, gradients, images

MAPS = dict(out_type='featmap', out_indices=[0, 2])
DINOV3 = functools.partial(timm_models.build, 'vit_small_patch16_dinov3')


def fused(dtype, **kwargs):
    """Return a model whose layers project q, k and v at once."""
    vit = build(dtype, **kwargs)
    for layer in vit.layers:
        layer.attn.qkv.register_forward_hook(lambda *_: None)
    return vit


def keep_joined(monkeypatch):
    """Let every layer keep keys and values as attention takes them."""
    task = forward_pass.LayerTask

    def without(**kwargs):
        return task(**{**kwargs, 'rejoin': False})

    monkeypatch.setattr(forward_pass, 'LayerTask', without)


def count_joins(monkeypatch):
    """Return a list that grows with each concatenation in backward."""
    cat, found = torch.cat, []

    def counted(*args, **kwargs):
        if torch._C._current_graph_task_id() != -1:  # within backward
            found.append(args)
        return cat(*args, **kwargs)

    monkeypatch.setattr(torch, 'cat', counted)
    return found


def results(vit, x, autocast=False):
    with torch.autocast('cpu', torch.bfloat16, autocast):
        outs = vit(x)
    return [*outs, *gradients([out.float() for out in outs], vit).values()]


@pytest.mark.parametrize(
    'make, kwargs, layers',
    [
        (build, dict(), 3),
        (build, MAPS, 3),
        (build, dict(num_prompts=(0, 3, 2)), 2),
        (build, dict(num_prompts=0, tuners=[dict(type='E2VPT')]), 3),
        (build, dict(tuners=[dict(type='LoRA')], bias=('k', 'v')), 3),
        (build, dict(trainable=['layers.*']), 3),
        (build, dict(with_cp=True), 0),
        (build, dict(propagate=True), 0),
        (fused, MAPS, 3),
        (DINOV3, dict(), 3),
    ],
)
def test_bits_are_those_of_joined_keys(make, kwargs, layers, monkeypatch):
    vit = make(dtype=torch.float32, **kwargs).train()
    x = images(dtype=torch.float32)
    for autocast in (False, True):
        with monkeypatch.context() as patch:
            joins = count_joins(patch)
            ours = results(vit, x, autocast)
            # Attention casts E2VPT's float32 tokens, and keeps the result.
            wanted = 0 if autocast and not vit.prompts else layers
            if layers:  # else prompts are tokens, or layers are recomputed
                assert len(joins) == wanted
            keep_joined(patch)
            joins.clear()
            kept = results(vit, x, autocast)
            assert layers == 0 or not joins
        assert len(ours) == len(kept) > 1
        for one, other in zip(ours, kept, strict=True):
            assert torch.equal(one, other)


def test_guided_layers_keep_what_their_tokens_need(monkeypatch):
    vit, joins = build().train(), count_joins(monkeypatch)
    request = TokenRequest((1,), frozenset(['cls_attention']))
    outs, tokens = vit.forward_with_tokens(images(), request)
    gradients([*outs, *tokens.guided[1].values()], vit)
    assert len(joins) == 2


def test_backward_runs_again_and_through_backward(monkeypatch):
    vit = build(**MAPS).train()
    prompts = [*vit.prompts.values()]
    seconds = []
    for _ in range(2):
        loss = vit(images())[-1].square().sum()
        once = torch.autograd.grad(loss, prompts, retain_graph=True)
        again = torch.autograd.grad(loss, prompts)
        assert all(map(torch.equal, once, again))
        seconds.append(once)
        keep_joined(monkeypatch)
    assert all(map(torch.equal, *seconds))


def test_transforms_of_torch_func():
    """They refuse hooks on saved tensors."""
    vit = build().train()
    names = [f'prompts.{i}' for i in range(3)]
    prompts = [vit.get_parameter(name).detach() for name in names]
    x = images()

    def loss(*prompts):
        given = dict(zip(names, prompts, strict=True))
        outs = torch.func.functional_call(vit, given, (x,))
        return outs[0].square().sum()

    grads = torch.func.grad(loss, (0, 1, 2))(*prompts)
    expected = torch.autograd.grad(
        vit(images())[0].square().sum(), [*vit.prompts.values()]
    )
    torch.testing.assert_close(grads, expected)
    rows = [torch.stack([p, p + 1]).requires_grad_() for p in prompts]
    many = torch.vmap(loss)(*rows)
    grads = torch.autograd.grad(many.sum(), rows)
    torch.testing.assert_close([grad[0] for grad in grads], [*expected])
