"""Each option changes the loss; the presets match their formulas."""

import inspect
import math
from itertools import combinations

import pytest
import torch

from mmdavpt.errors import UsageError
from mmdavpt.models.losses import PRESETS, DAVPTLoss
from mmdavpt.models.losses.davpt_loss import CLS, PROMPTS, TOKENS
from mmdavpt.models.losses.proxy_anchor import POSITIVE_MEANS
from mmdavpt.registry import GUIDANCE_METRICS

from . import reference

B, N, P, C = 7, 5, 4, 8

METRICS = ('ProxyAnchor', 'ProxyNCA', 'Triplet', 'Softmax')
#: Option to pairs of other options and its values; 'metric.x' is an argument
#: of the metric.
VALUES = {
    'metric': [({}, [dict(type=name) for name in METRICS])],
    'token': [({}, TOKENS)],
    'prompt': [({}, PROMPTS)],
    'cls': [
        ({}, [name for name in CLS if name != 'attention']),
        (dict(token_weight=0, metric=dict(type='Softmax')), CLS),
    ],
    'token_weight': [({}, [0.01, 0, 0.02])],
    'cls_weight': [({}, [0.01, 0, 0.02])],
    'metric.alpha': [
        (dict(metric=dict(type=name)), [32.0, 16.0, 1.0])
        for name in METRICS[:2]
    ],
    'metric.margin': [
        (dict(metric=dict(type=name)), [0.1, 0.2, -0.1])
        for name in METRICS[:3]
    ],
    'metric.temperature': [
        (dict(metric=dict(type='Softmax')), [0.05, 0.1, 1.0])
    ],
    'center': [
        (dict(metric=dict(type=name)), [False, True]) for name in METRICS
    ],
    'metric.positive_mean': [
        (dict(metric=dict(type='ProxyAnchor')), POSITIVE_MEANS)
    ],
    'prompt_scale': [
        (dict(metric=dict(type=name)), [1.0, 5.0, 60.0]) for name in METRICS
    ],
    'preset': [
        *[(dict(metric=dict(type=name)), PRESETS) for name in METRICS],
        # Each preset also where one of its values is overridden.
        *[
            ({name: PRESETS['paper'][name]}, PRESETS)
            for name in PRESETS['paper']
        ],
    ],
}
CASES = [
    pytest.param(
        name, given, values, id='-'.join([name, *map(str, given.values())])
    )
    for name, cases in VALUES.items()
    for given, values in cases
]


def random_batch(seed):
    """Random tokens; prompt 2 has no sample, prompt 3 is not guided."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    tokens = {
        layer: {
            **{f'prompt_{k}': draw(P, C) for k in PROMPTS},
            **{f'cls_{k}': draw(B, C) for k in CLS},
            'cls_attention': draw(B, P),
            **{k: draw(B, N, C) for k in TOKENS if k != 'saliency'},
            'saliency': draw(B, C),
        }
        for layer in (4, 5)
    }
    # Both prompts have a sample, and one sample takes no part.
    target = torch.tensor([0, 1, -1, 0, 1, 1, 0])
    order = torch.randperm(B, generator=generator)
    return tokens, target[order], torch.tensor([True, True, True, False])


def test_every_option_is_tested():
    options = set(inspect.signature(DAVPTLoss).parameters)
    for name in METRICS:
        arguments = inspect.signature(GUIDANCE_METRICS.get(name)).parameters
        options |= {f'metric.{argument}' for argument in arguments}
    assert set(VALUES) == options


def with_option(given, name, value):
    """Return the arguments of a loss with one option set."""
    first, _, argument = name.partition('.')
    if argument:
        value = {**given[first], argument: value}
    return {**given, first: value}


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('name, given, values', CASES)
def test_each_value_of_an_option_changes_the_loss(name, given, values, seed):
    batch = random_batch(seed)
    totals = [
        sum(DAVPTLoss(**with_option(given, name, v))(*batch).values()).item()
        for v in values
    ]
    for one, other in combinations(totals, 2):
        assert one != pytest.approx(other, rel=1e-6)


@pytest.mark.parametrize('seed', range(3))
def test_released_preset_matches_the_formulas(seed):
    tokens, target, guided = random_batch(seed)
    losses = DAVPTLoss(preset='released', token_weight=0.3, cls_weight=0.7)(
        tokens, target, guided
    )
    token, cls = reference.released(
        [
            {k: x.tolist() for k, x in named.items()}
            for named in tokens.values()
        ],
        target.tolist(),
        guided.tolist(),
    )
    assert losses['loss_guidance_token'].item() == pytest.approx(
        0.3 * token, rel=1e-12
    )
    assert losses['loss_guidance_cls'].item() == pytest.approx(
        0.7 * cls, rel=1e-12
    )


@pytest.mark.parametrize('seed', range(2))
def test_gradients_of_the_released_preset_match_the_formulas(seed):
    """Central differences of the slow reference, in each raw prompt."""
    tokens, target, guided = random_batch(seed)
    layer = {k: x.tolist() for k, x in tokens[4].items()}
    prompts = tokens[4]['prompt_raw'].requires_grad_()
    losses = DAVPTLoss(preset='released', token_weight=1.0, cls_weight=1.0)(
        {4: tokens[4]}, target, guided
    )
    (gradient,) = torch.autograd.grad(sum(losses.values()), prompts)
    step = 1e-5
    for p in range(P):
        for c in range(0, C, 3):
            sides = []
            for sign in (1, -1):
                layer['prompt_raw'][p][c] += sign * step
                sides.append(
                    sum(
                        reference.released(
                            [layer], target.tolist(), guided.tolist()
                        )
                    )
                )
                layer['prompt_raw'][p][c] -= sign * step
            slope = (sides[0] - sides[1]) / (2 * step)
            assert gradient[p, c].item() == pytest.approx(
                slope, rel=1e-6, abs=1e-6
            )


def test_presets_are_documented_with_their_sources():
    for name, words in dict(
        paper=('sections 3.2 and 3.3', 'eq. 4'),
        released=('1a5ac60', 'criterion.py', 'line 530'),
    ).items():
        documented = DAVPTLoss.__doc__.split(f"- '{name}':", 1)[1]
        for word in words:
            assert word in documented[:700]
    assert all(f"- '{name}':" in DAVPTLoss.__doc__ for name in PRESETS)


@pytest.mark.parametrize('kind', ['prompt_query', 'cls_query', 'saliency'])
def test_centered_similarities_ignore_a_common_offset(kind):
    tokens, target, guided = random_batch(0)
    moved = {
        layer: {**named, kind: named[kind] + 3}
        for layer, named in tokens.items()
    }
    for center in (True, False):
        loss = DAVPTLoss(center=center)
        one, other = (
            sum(loss(t, target, guided).values()) for t in (tokens, moved)
        )
        assert torch.isclose(one, other) == center


def test_attention_on_the_own_prompt_by_hand():
    """Two samples; the share of the own among the guided prompts."""
    attention = torch.tensor([[0.2, 0.1, 0.6], [0.3, 0.3, 0.1]])
    tokens = {
        0: {'cls_attention': attention.log(), 'prompt_query': torch.ones(3, 2)}
    }
    loss = DAVPTLoss(
        metric=dict(type='Softmax', temperature=1.0),
        cls='attention',
        token_weight=0,
        cls_weight=0.5,
    )
    guided = torch.tensor([True, True, False])
    value = loss(tokens, torch.tensor([0, 1]), guided)['loss_guidance_cls']
    # 0.5 * mean(-log(0.2 / 0.3), -log(0.3 / 0.6))
    assert value.item() == pytest.approx(0.25 * math.log(3), rel=1e-6)


@pytest.mark.parametrize(
    'wrong',
    [
        dict(token_weight=0.1),
        dict(center=True),
        dict(prompt='key'),
        dict(prompt_scale=5.0),
    ],
)
def test_attention_compares_no_vectors(wrong):
    given = dict(token_weight=0, cls='attention')
    with pytest.raises(UsageError, match='compares no vectors'):
        DAVPTLoss(**{**given, **wrong})
