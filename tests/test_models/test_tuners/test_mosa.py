"""MoSA against its formula: masks, draws, and the merge of the experts."""

import pytest
import torch

from ..test_backbones import timm_models
from ..test_backbones.test_davpt_vit import build, gradients, images
from .test_methods import by_hand


def mosa(**kwargs):
    return dict(type='MoSA', rank=6, drop_rate=0.0, **kwargs)


def test_masks_are_disjoint_cover_all_and_are_equally_large():
    experts = build(tuners=[mosa()]).tuners.MoSA.experts
    assert experts.shape == (3, 32, 6) and experts.dtype == torch.uint8
    for layer in experts:
        # Each entry has one expert, so the masks are disjoint and cover all.
        assert layer.flatten().bincount().tolist() == [48] * 4
    assert not torch.equal(experts[0], experts[1])
    # Entries are spread: no channel belongs to one expert.
    assert all(len(row.unique()) > 1 for row in experts[0])


def hidden_by_hand(tuner, i, x):
    mean, var = x.mean(-1, keepdim=True), x.var(-1, False, keepdim=True)
    norm, down = tuner.norms[i], tuner.down[i]
    x = (x - mean) / (var + 1e-6).sqrt() * norm.weight + norm.bias
    x = x @ down.weight.T + down.bias
    return x * (1 + torch.erf(x / 2**0.5)) / 2


def test_evaluation_merges_the_experts():
    vit = build(num_prompts=0, tuners=[mosa()]).eval()
    tuner = vit.tuners.MoSA

    def change(i, point, x, y):
        if point != 'mlp':
            return y
        hidden, up = hidden_by_hand(tuner, i, x), tuner.up[i]
        return y + 0.1 * (hidden @ up.weight.T / 4 + up.bias)

    torch.testing.assert_close(
        vit(images())[0], by_hand(vit, change), rtol=0, atol=1e-10
    )


def test_training_draws_one_expert_for_each_layer():
    vit = build(num_prompts=0, tuners=[mosa()]).train()
    tuner = vit.tuners.MoSA
    torch.manual_seed(3)
    out = vit(images())[0]
    torch.manual_seed(3)
    drawn = [int(torch.randint(4, ())) for _ in range(3)]
    assert len(set(drawn)) > 1

    def change(i, point, x, y):
        if point != 'mlp':
            return y
        up, sparse = tuner.up[i], torch.zeros(32, 6, dtype=x.dtype)
        for place in torch.cartesian_prod(torch.arange(32), torch.arange(6)):
            if tuner.experts[i][tuple(place)] == drawn[i]:
                sparse[tuple(place)] = up.weight[tuple(place)].detach()
        hidden = hidden_by_hand(tuner, i, x)
        return y + 0.1 * (hidden @ sparse.T + up.bias)

    torch.testing.assert_close(out, by_hand(vit, change), rtol=0, atol=1e-10)
    assert not torch.equal(vit(images())[0], out)


def test_merged_experts_are_their_mean(monkeypatch):
    tuner = build(tuners=[mosa()]).tuners.MoSA
    x, out = torch.randn(2, 2, 5, 32, dtype=torch.float64)
    drawn = []
    for expert in range(4):
        monkeypatch.setattr(
            torch, 'randint', lambda *a, e=expert, **k: torch.tensor(e)
        )
        drawn.append(tuner.train().mlp(1, x, out))
    merged = tuner.eval().mlp(1, x, out)
    torch.testing.assert_close(merged, torch.stack(drawn).mean(0))
    assert (drawn[0] - drawn[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    'options', [dict(num_prompts=4), dict(num_prompts=4, propagate='sum')]
)
def test_a_layer_draws_once_for_all_tokens(options, monkeypatch):
    vit, drawn = build(tuners=[mosa()], **options).train(), []
    randint = torch.randint
    monkeypatch.setattr(
        torch, 'randint', lambda *a, **k: drawn.append(a) or randint(*a, **k)
    )
    vit(images())
    assert drawn == [(4, ())] * 3
    vit.eval()(images())
    assert len(drawn) == 3


@pytest.mark.parametrize('library', ['mmpretrain', 'timm'])
def test_recomputed_layers_draw_the_same_experts(library):
    grads = []
    for with_cp in (False, True):
        options = dict(tuners=[dict(type='MoSA', rank=6)], with_cp=with_cp)
        if library == 'timm':
            vit = timm_models.build('vit_small_patch14_reg4_dinov2', **options)
            x = timm_models.images(vit)
        else:
            vit, x = build(**options), images()
        vit.train()
        torch.manual_seed(5)
        grads.append(gradients(vit(x), vit))
    for name, grad in grads[0].items():
        assert torch.equal(grad, grads[1][name]), name
        assert grad.abs().max() > 0, name


def test_gradient_reaches_the_drawn_entries_alone():
    vit = build(tuners=[mosa()], out_type='featmap').train()
    torch.manual_seed(1)
    grads = gradients(vit(images()), vit)
    torch.manual_seed(1)
    for i, experts in enumerate(vit.tuners.MoSA.experts):
        grad = grads[f'tuners.MoSA.up.{i}.weight']
        assert torch.equal(grad != 0, experts == torch.randint(4, ()))


def test_defaults():
    vit = build(tuners=[dict(type='MoSA')], perturb=False)
    tuner = vit.tuners.MoSA
    assert tuner.consistency_weight == 1 and tuner.scale == 0.1
    assert tuner.down[0].weight.shape == (64, 32) and tuner.drop.p == 0.1
    assert all(bool((norm.weight == 1).all()) for norm in tuner.norms)
