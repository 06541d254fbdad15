"""Tests of the registered guidance loss."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mmdavpt.models.losses import PRESETS, DAVPTLoss
from mmdavpt.registry import MODELS

from . import reference

B, N, P, C = 6, 5, 4, 8
TARGET = torch.tensor([0, 1, -1, 0, 2, 1])
GUIDED = torch.tensor([True, True, True, False])


def make_tokens(layers=(2, 3), dtype=torch.float64):
    """Every token of every layer, random."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(
            *shape, generator=generator, dtype=torch.float64
        ).to(dtype)

    return {
        layer: {
            **{f'prompt_{k}': draw(P, C) for k in ('raw', 'input', 'query')},
            **{f'cls_{k}': draw(B, C) for k in ('input', 'query')},
            **{
                f'patch_{k}': draw(B, N, C)
                for k in ('raw', 'input', 'query', 'key', 'output')
            },
            'saliency': draw(B, C),
        }
        for layer in layers
    }


def run(tokens=None, **kwargs):
    """Build the loss and apply it."""
    tokens = make_tokens() if tokens is None else tokens
    return DAVPTLoss(**kwargs)(tokens, TARGET, GUIDED)


def slow(tokens, token, prompt, cls, scale, positive_mean, weights):
    """The two terms from the slow reference."""
    terms = []
    for name, weight in zip([token, cls], weights, strict=True):
        losses = []
        for layer in tokens.values():
            x = layer[name]
            if x.ndim == 3:
                x = torch.stack(
                    [sum(sample[n] for n in range(N)) / N for sample in x]
                )
            s = reference.similarities(x, layer[prompt], scale)
            losses.append(
                reference.proxy_anchor(
                    s,
                    TARGET.tolist(),
                    GUIDED.tolist(),
                    32.0,
                    0.1,
                    positive_mean,
                )
            )
        terms.append(weight * sum(losses) / len(losses))
    return terms


def test_is_registered():
    assert isinstance(MODELS.build(dict(type='DAVPTLoss')), DAVPTLoss)


@pytest.mark.parametrize(
    'kwargs, names',
    [
        (dict(), ('saliency', 'prompt_query', 'cls_query', 1.0, 'positive')),
        (
            dict(preset='paper'),
            ('saliency', 'prompt_query', 'cls_query', 1.0, 'positive'),
        ),
        (
            dict(preset='released'),
            ('patch_raw', 'prompt_raw', 'cls_query', 5.0, 'all'),
        ),
        (
            dict(preset='released', token='patch_key', prompt_scale=2.0),
            ('patch_key', 'prompt_raw', 'cls_query', 2.0, 'all'),
        ),
        (
            dict(
                cls='input',
                prompt='input',
                metric=dict(type='ProxyAnchor', positive_mean='all'),
            ),
            ('saliency', 'prompt_input', 'cls_input', 1.0, 'all'),
        ),
    ],
)
def test_matches_slow_reference(kwargs, names):
    token, prompt, cls, scale, positive_mean = names
    losses = run(token_weight=0.3, cls_weight=0.7, **kwargs)
    expected = slow(
        make_tokens(), token, prompt, cls, scale, positive_mean, (0.3, 0.7)
    )
    assert losses['loss_guidance_token'].item() == pytest.approx(
        expected[0], abs=1e-10
    )
    assert losses['loss_guidance_cls'].item() == pytest.approx(
        expected[1], abs=1e-10
    )
    assert set(losses) == {'loss_guidance_token', 'loss_guidance_cls'}


@pytest.mark.parametrize('metric', ['ProxyNCA', 'Triplet'])
def test_variants_match_slow_reference(metric):
    tokens = make_tokens(layers=(0,))
    s = reference.similarities(
        tokens[0]['cls_query'], tokens[0]['prompt_query']
    )
    args = (s, TARGET.tolist(), GUIDED.tolist())
    expected = (
        reference.triplet(*args, 0.1)
        if metric == 'Triplet'
        else reference.proxy_nca(*args, 32.0, 0.1)
    )
    losses = run(
        tokens, metric=dict(type=metric), token_weight=0, cls_weight=1.0
    )
    assert losses['loss_guidance_cls'].item() == pytest.approx(expected)
    assert set(losses) == {'loss_guidance_cls'}


def test_preset_and_explicit_values():
    released = DAVPTLoss(preset='released')
    spelled = DAVPTLoss(**PRESETS['released'])
    assert str(released) == str(spelled) != str(DAVPTLoss())
    assert str(DAVPTLoss()) == str(DAVPTLoss(**PRESETS['paper']))
    # A preset's arguments do not reach another metric.
    triplet = DAVPTLoss(preset='released', metric=dict(type='Triplet'))
    assert 'positive_mean' not in str(triplet)
    sharp = DAVPTLoss(
        preset='released', metric=dict(type='ProxyAnchor', alpha=16)
    )
    assert "alpha=16, margin=0.1, positive_mean='all'" in str(sharp)


def test_required_tokens():
    assert DAVPTLoss().required_tokens == {
        'saliency',
        'prompt_query',
        'cls_query',
    }
    assert DAVPTLoss(preset='released').required_tokens == {
        'patch_raw',
        'prompt_raw',
        'cls_query',
    }
    assert DAVPTLoss(token_weight=0).required_tokens == {
        'prompt_query',
        'cls_query',
    }
    assert DAVPTLoss(cls_weight=0, prompt='input').required_tokens == {
        'saliency',
        'prompt_input',
    }


@pytest.mark.parametrize(
    'token',
    [
        'saliency',
        'patch_output',
        'patch_input',
        'patch_query',
        'patch_key',
        'patch_raw',
    ],
)
@pytest.mark.parametrize('prompt', ['query', 'input', 'raw'])
@pytest.mark.parametrize('cls', ['query', 'input'])
def test_reads_only_required_tokens(token, prompt, cls):
    loss = DAVPTLoss(token=token, prompt=prompt, cls=cls)
    tokens = {
        layer: {
            name: named[name].requires_grad_() for name in loss.required_tokens
        }
        for layer, named in make_tokens().items()
    }
    sum(loss(tokens, TARGET, GUIDED).values()).backward()
    for named in tokens.values():
        for x in named.values():
            assert x.grad.abs().sum() > 0 and torch.isfinite(x.grad).all()


def test_is_averaged_over_layers():
    tokens = make_tokens()
    one, two = (run({layer: tokens[layer]}) for layer in tokens)
    both = run(tokens)
    for name in both:
        torch.testing.assert_close(both[name], (one[name] + two[name]) / 2)


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(),
        dict(preset='released'),
        dict(metric=dict(type='ProxyNCA'), token='patch_key'),
        dict(metric=dict(type='Triplet'), token='patch_output', cls='input'),
    ],
)
@pytest.mark.parametrize('value', [7.0, float('nan'), float('inf')])
def test_samples_without_a_target_have_no_influence(kwargs, value):
    loss = DAVPTLoss(**kwargs)
    grads = []
    for replace in (False, True):
        tokens = make_tokens()
        for named in tokens.values():
            for name, x in named.items():
                if replace and not name.startswith('prompt'):
                    x[TARGET < 0] = value
                x.requires_grad_()
        total = sum(loss(tokens, TARGET, GUIDED).values())
        total.backward()
        assert torch.isfinite(total)
        grads.append(
            [total]
            + [
                tokens[layer][name].grad
                for layer in tokens
                for name in sorted(loss.required_tokens)
            ]
        )
    for clean, replaced in zip(*grads, strict=True):
        assert torch.equal(clean, replaced)


def test_no_sample_takes_part():
    tokens = make_tokens()
    for named in tokens.values():
        for x in named.values():
            x.requires_grad_()
    losses = DAVPTLoss()(tokens, torch.full_like(TARGET, -1), GUIDED)
    assert all(loss.item() == 0 for loss in losses.values())
    sum(losses.values()).backward()
    assert (tokens[2]['prompt_query'].grad == 0).all()


@pytest.mark.parametrize('preset', ['paper', 'released'])
def test_bfloat16_autocast(preset):
    tokens = make_tokens(dtype=torch.bfloat16)
    exact = {
        layer: {name: x.double() for name, x in named.items()}
        for layer, named in tokens.items()
    }
    expected = run(exact, preset=preset)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = run(tokens, preset=preset)
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(expected[name].item(), rel=1e-5)


def test_values_are_never_read_back():
    """A fake tensor raises where a real one on a device would wait."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        tokens = {
            0: {
                'prompt_raw': torch.empty(P, C, requires_grad=True),
                'cls_query': torch.empty(B, C),
                'patch_raw': torch.empty(B, N, C),
            }
        }
        losses = DAVPTLoss(preset='released')(
            tokens,
            torch.empty(B, dtype=torch.int64),
            torch.empty(P, dtype=torch.bool),
        )
        sum(losses.values()).backward()


@pytest.mark.parametrize(
    'kwargs, match',
    [
        (dict(token='cls'), "token of DAVPTLoss .*'cls'"),
        (dict(prompt='output'), "prompt of DAVPTLoss .*'output'"),
        (dict(cls='raw'), "cls of DAVPTLoss .*'raw'"),
        (dict(preset='best'), "preset of DAVPTLoss .*'best'"),
        (dict(token_weight=-0.1), 'token_weight .*at least 0'),
        (dict(cls_weight=-0.1), 'cls_weight .*at least 0'),
        (dict(cls_weight=float('nan')), 'cls_weight .*finite'),
        (dict(prompt_scale=-1.0), 'prompt_scale .*positive'),
        (dict(token_weight=0, cls_weight=0.0), 'are both 0; set one'),
        (
            dict(token='saliency', token_weight=0),
            "token='saliency' has no effect with token_weight=0",
        ),
        (
            dict(cls='input', cls_weight=0),
            "cls='input' has no effect with cls_weight=0",
        ),
    ],
)
def test_wrong_options(kwargs, match):
    with pytest.raises(ValueError, match=match):
        DAVPTLoss(**kwargs)


def test_missing_tokens():
    tokens = make_tokens()
    del tokens[3]['saliency']
    with pytest.raises(KeyError, match='saliency'):
        run(tokens)
