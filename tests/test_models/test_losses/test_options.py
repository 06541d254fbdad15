"""Every option changes the loss; the presets are what they say they are."""

import inspect
from itertools import combinations

import pytest
import torch

from mmdavpt.models.losses import PRESETS, DAVPTLoss
from mmdavpt.models.losses.options import CLS, PROMPTS, TOKENS
from mmdavpt.models.losses.proxy_anchor import POSITIVE_MEANS

from . import reference

B, N, P, C = 7, 5, 4, 8

#: Option to its values, after what it is looked at with.
VALUES = {
    'metric': [({}, ['proxy_anchor', 'proxy_nca', 'triplet'])],
    'token': [({}, TOKENS)],
    'prompt': [({}, PROMPTS)],
    'cls': [({}, CLS)],
    'token_weight': [({}, [0.01, 0, 0.02])],
    'cls_weight': [({}, [0.01, 0, 0.02])],
    'alpha': [
        ({}, [None, 16.0, 1.0]),
        (dict(metric='proxy_nca'), [None, 16.0]),
    ],
    'margin': [
        (dict(metric=metric), [0.1, 0.2, -0.1])
        for metric in ('proxy_anchor', 'proxy_nca', 'triplet')
    ],
    'prompt_scale': [
        (dict(metric=metric), [1.0, 5.0, 60.0])
        for metric in ('proxy_anchor', 'proxy_nca', 'triplet')
    ],
    'positive_mean': [({}, POSITIVE_MEANS)],
    'preset': [
        ({}, PRESETS),
        (dict(metric='proxy_nca'), PRESETS),
        (dict(metric='triplet'), PRESETS),
        # Each preset also where one of its own choices was overruled.
        *[
            ({name: PRESETS['paper'][name]}, PRESETS)
            for name in PRESETS['paper']
        ],
    ],
}
CASES = [
    pytest.param(name, given, values, id='-'.join([name, *map(str, given)]))
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
            **{k: draw(B, N, C) for k in TOKENS if k != 'saliency'},
            'saliency': draw(B, C),
        }
        for layer in (4, 5)
    }
    # Both prompts have a sample, and one sample takes no part.
    target = torch.tensor([0, 1, -1, 0, 1, 1, 0])
    order = torch.randperm(B, generator=generator)
    return tokens, target[order], torch.tensor([True, True, True, False])


def test_no_option_is_forgotten():
    assert set(VALUES) == set(inspect.signature(DAVPTLoss).parameters)


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('name, given, values', CASES)
def test_each_value_of_an_option_gives_another_loss(name, given, values, seed):
    batch = random_batch(seed)
    totals = {
        value: sum(DAVPTLoss(**{**given, name: value})(*batch).values()).item()
        for value in values
    }
    for one, other in combinations(totals, 2):
        assert totals[one] != pytest.approx(totals[other], rel=1e-6), (
            one,
            other,
        )


@pytest.mark.parametrize('seed', range(3))
def test_released_is_what_the_formulas_say(seed):
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
def test_gradients_of_released_are_those_of_the_formulas(seed):
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
