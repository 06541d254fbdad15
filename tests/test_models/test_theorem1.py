r"""Theorem 1: how a prompt's move changes the attention, on real weights.

With scores S_ij = q_i k_j / sqrt(d) and attention A_ij = softmax_j(S_ij),

    dA_ij = A_ij (dS_ij - sum_k A_ik dS_ik)
          = A_ij (1 - A_ij) dS_ij - A_ij sum_{k != j} A_ik dS_ik,

and the paper (appendix E) neglects the last sum. What the tests show of it:

- A prompt that is attended to acts through its own key alone. So it changes
  one score of a row, the neglected sum is 0, and the theorem is exact to first
  order. It is even exact in the odds: A / (1 - A) is multiplied by exp(dS).
- A prompt that attends (the query of the saliency) changes all scores of its
  row. There the sum is an error of at most A (1 - A) max_{k != j} |dS_ik|.
- Attention rises just when the score does. That a prompt comes closer to a
  token before the projections does not ensure it.
"""

import math
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F

from mmdavpt.models import DAVPTVisionTransformer
from mmdavpt.models.backbones import TokenRequest

DIMS, HEADS, P, N, LAYER = 32, 4, 4, 16, 1
SCALE = 1 / math.sqrt(DIMS // HEADS)


@pytest.fixture(scope='module')
def vit():
    """A tiny ViT in float64 whose weights are far from their initial ones."""
    torch.manual_seed(0)
    arch = dict(
        embed_dims=DIMS, num_layers=3, num_heads=HEADS, feedforward_channels=48
    )
    vit = DAVPTVisionTransformer(
        arch=arch,
        img_size=32,
        patch_size=8,
        num_prompts=P,
        out_type='raw',
        bias=('k', 'v'),
    ).double()
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return vit.requires_grad_(False)


@pytest.fixture(scope='module')
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 32, 32, generator=generator).double()


@contextmanager
def recorded(vit):
    """Spell out the attention of the layer; keep its queries and scores."""
    calls, attention = [], vit.layers[LAYER].attn

    def attend(query, key, value, dropout_p=0.0):
        scores = query @ key.transpose(-2, -1) * SCALE
        calls.append((query, scores))
        return scores.softmax(-1) @ value

    original = attention.scaled_dot_product_attention
    attention.scaled_dot_product_attention = attend
    try:
        yield calls
    finally:
        attention.scaled_dot_product_attention = original


@contextmanager
def moved(vit, prompt, move):
    """Move one prompt of the layer."""
    prompts = vit.prompts[str(LAYER)]
    before = prompts.clone()
    prompts[prompt] += move
    try:
        yield
    finally:
        prompts.copy_(before)


def attended(vit, images, prompt=0, move=0.0, request=None):
    """Return queries and scores of the layer, with a prompt moved."""
    with recorded(vit) as calls, moved(vit, prompt, move):
        vit.forward_with_tokens(images, request)
    # The saliency's own attention comes second.
    return calls[0 if request is None else 1]


def slope(function, step=1e-5):
    """Central difference at 0."""
    return (function(step) - function(-step)) / (2 * step)


def project(vit, part, prompt):
    """Query or key of a prompt, (heads, C / heads), by the layer's weights."""
    layer = vit.layers[LAYER]
    rows = slice(DIMS) if part == 'q' else slice(DIMS, 2 * DIMS)
    out = F.linear(
        layer.ln1(prompt),
        layer.attn.qkv.weight[rows],
        layer.attn.qkv.bias[rows],
    )
    if part == 'k':
        out = out + vit.bias_delta.k[LAYER]
    return out.unflatten(-1, (HEADS, -1))


def change_of_scores(vit, prompt, direction, queries):
    """dS_ij of eq. 6 for all queries i: q_i times the change of the key."""
    start = vit.prompts[str(LAYER)][prompt]
    _, change = torch.func.jvp(
        lambda p: project(vit, 'k', p), (start,), (direction,)
    )
    return torch.einsum('bhic,hc->bhi', queries, change) * SCALE


def inputs_of_layer(vit, images):
    """[CLS] and patches as they enter the layer, (B, 1+N, C)."""
    kept = []
    handle = vit.layers[LAYER].ln1.register_forward_hook(
        lambda module, args, out: kept.append(args[0])
    )
    vit(images)
    handle.remove()
    return kept[-1]  # the prompts are normed before


def directions(vit, images):
    """Ways to move a prompt: towards a token, and anywhere; unit vectors."""
    tokens = inputs_of_layer(vit, images)
    generator = torch.Generator().manual_seed(2)
    for prompt in range(P):
        start = vit.prompts[str(LAYER)][prompt]
        for token in (0, 1, 1 + prompt, N):
            yield prompt, F.normalize(tokens[prompt % 2, token] - start, dim=0)
        anywhere = torch.randn(DIMS, generator=generator).double()
        yield prompt, F.normalize(anywhere, dim=0)


def test_the_recorded_attention_is_that_of_the_layer(vit, images):
    (expected,) = vit(images)
    with recorded(vit) as calls:
        (out,) = vit(images)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    assert calls[0][1].shape == (2, HEADS, 1 + N, P + 1 + N)


def test_attention_to_a_prompt_changes_by_the_predicted_amount(vit, images):
    queries, scores = attended(vit, images)
    attention = scores.softmax(-1)
    for prompt, direction in directions(vit, images):
        measured = slope(
            lambda step, j=prompt, u=direction: attended(
                vit, images, j, step * u
            )[1].softmax(-1)
        )
        ds = change_of_scores(vit, prompt, direction, queries)
        own = attention[..., prompt]
        predicted = -attention * (own * ds).unsqueeze(-1)
        predicted[..., prompt] = own * (1 - own) * ds
        torch.testing.assert_close(measured, predicted, rtol=1e-6, atol=1e-8)
        assert measured[..., prompt].abs().max() > 1e-3


def test_the_neglected_sum_is_zero_for_a_prompt_that_is_attended_to(
    vit, images
):
    _, before = attended(vit, images)
    for prompt, direction in directions(vit, images):
        _, after = attended(vit, images, prompt, direction)
        changed = (after != before).flatten(0, 2).any(0)
        assert changed.nonzero().flatten().tolist() == [prompt]


def test_odds_are_multiplied_by_the_exponential_at_any_distance(vit, images):
    _, before = attended(vit, images)
    for prompt, direction in directions(vit, images):
        for step in (1e-3, 0.1, 1.0, 10.0):
            _, after = attended(vit, images, prompt, step * direction)
            ds = (after - before)[..., prompt]
            old, new = (s.softmax(-1)[..., prompt] for s in (before, after))
            torch.testing.assert_close(new.logit(), old.logit() + ds)
            # The curvature of the logistic function is 1 / (6 sqrt(3)) at
            # most, which bounds what the first order leaves out.
            error = (new - old - old * (1 - old) * ds).abs()
            assert (error <= ds.square() / (12 * math.sqrt(3)) + 1e-15).all()


def test_attention_rises_just_when_the_score_does(vit, images):
    """Moves towards a token do both: raise its attention and lower it."""
    queries, before = attended(vit, images)
    old = before.softmax(-1)
    tokens = inputs_of_layer(vit, images)
    signs = []
    for prompt in range(P):
        start = vit.prompts[str(LAYER)][prompt]
        for i in range(1 + N):
            step = 1e-4 * (tokens[0, i] - start)
            _, after = attended(vit, images, prompt, step)
            ds = change_of_scores(vit, prompt, step, queries)[0, :, i]
            change = (after.softmax(-1) - old)[0, :, i, prompt]
            assert torch.equal(change > 0, ds > 0)
            signs += (change > 0).tolist()
    assert {True, False} == set(signs)


def test_a_step_up_the_score_raises_the_attention(vit, images):
    """Towards a token as its query sees the prompt, it always does."""
    queries, before = attended(vit, images)
    old = before.softmax(-1)
    for prompt in range(P):
        for i in (0, 3, N):
            start = vit.prompts[str(LAYER)][prompt]
            uphill = torch.func.grad(
                lambda p, i=i: (
                    (queries[0, 0, i] * project(vit, 'k', p)[0]).sum() * SCALE
                )
            )(start)
            errors = []
            for wanted in (0.02, 0.01):
                step = wanted / uphill.square().sum()
                _, after = attended(vit, images, prompt, step * uphill)
                rise = (after.softmax(-1) - old)[0, 0, i, prompt]
                a = old[0, 0, i, prompt]
                predicted = a * (1 - a) * wanted
                assert rise > 0
                errors.append(abs(rise - predicted) / predicted)
            # Half the step, half the relative error: the first order is all
            # that was predicted, and all of it.
            assert errors[1] < 0.6 * errors[0] < 0.6


def test_for_a_prompt_that_attends_the_neglected_sum_is_the_error(vit, images):
    prompt = 2
    request = TokenRequest(
        (LAYER,), frozenset({'saliency'}), torch.tensor([prompt, 0])
    )
    start = vit.prompts[str(LAYER)][prompt]
    queries, scores = attended(vit, images, request=request)
    torch.testing.assert_close(queries[0, :, 0], project(vit, 'q', start))
    attention = scores.softmax(-1)[0, :, 0]
    for _, direction in directions(vit, images):
        measured = slope(
            lambda step, u=direction: attended(
                vit, images, prompt, step * u, request
            )[1].softmax(-1)
        )
        ds = slope(
            lambda step, u=direction: attended(
                vit, images, prompt, step * u, request
            )[1]
        )
        # Another prompt's query does not see its key, and so does not feel it.
        assert measured[1].abs().max() < 1e-6
        measured, ds = measured[0, :, 0], ds[0, :, 0]
        weighted = attention * ds
        full = attention * (ds - weighted.sum(-1, keepdim=True))
        torch.testing.assert_close(measured, full, rtol=1e-6, atol=1e-8)
        paper = attention * (1 - attention) * ds
        neglected = attention * (weighted.sum(-1, keepdim=True) - weighted)
        torch.testing.assert_close(
            paper - measured, neglected, rtol=1e-6, atol=1e-8
        )
        largest = torch.stack(
            [
                ds.abs().index_fill(-1, torch.tensor([j]), 0).amax(-1)
                for j in range(ds.shape[-1])
            ],
            dim=-1,
        )
        bound = attention * (1 - attention) * largest
        assert (neglected.abs() <= bound + 1e-12).all()
        assert neglected.abs().max() > 1e-3
