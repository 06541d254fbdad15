"""Properties that the three metric losses share."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from mmdavpt.models.losses import ProxyAnchor, ProxyNCA, Softmax, Triplet

from . import reference

#: Each loss with the slow reference of the same signature.
PAIRS = {
    'proxy_anchor': (
        ProxyAnchor(alpha=8.0, margin=0.15),
        functools.partial(
            reference.proxy_anchor,
            alpha=8.0,
            margin=0.15,
            positive_mean='positive',
        ),
    ),
    'proxy_anchor_all': (
        ProxyAnchor(alpha=8.0, margin=0.15, positive_mean='all'),
        functools.partial(
            reference.proxy_anchor, alpha=8.0, margin=0.15, positive_mean='all'
        ),
    ),
    'proxy_nca': (
        ProxyNCA(alpha=8.0, margin=0.15),
        functools.partial(reference.proxy_nca, alpha=8.0, margin=0.15),
    ),
    'softmax': (
        Softmax(temperature=0.4),
        functools.partial(reference.softmax, temperature=0.4),
    ),
    'triplet': (
        Triplet(margin=0.15),
        functools.partial(reference.triplet, margin=0.15),
    ),
}
LOSSES = {name: pair[0] for name, pair in PAIRS.items()}


@pytest.fixture(params=LOSSES)
def loss_fn(request):
    return LOSSES[request.param]


def example(batch=6, prompts=4, dtype=torch.float64):
    """A batch with a sample that takes no part and an unguided prompt."""
    generator = torch.Generator().manual_seed(0)
    similarity = (
        2 * torch.rand(batch, prompts, generator=generator, dtype=dtype) - 1
    )
    target = torch.tensor([0, 1, -1, 0, 2, 1])
    guided = torch.tensor([True, True, True, False])
    return similarity, target, guided


@st.composite
def batches(draw):
    """Any batch, with and without guided prompts and samples."""
    batch, prompts = draw(st.integers(0, 5)), draw(st.integers(1, 5))
    value = st.floats(-1, 1)
    row = st.lists(value, min_size=prompts, max_size=prompts)
    return (
        draw(st.lists(row, min_size=batch, max_size=batch)),
        draw(
            st.lists(
                st.integers(-1, prompts - 1), min_size=batch, max_size=batch
            )
        ),
        draw(st.lists(st.booleans(), min_size=prompts, max_size=prompts)),
    )


@pytest.mark.parametrize('name', PAIRS)
@settings(max_examples=40, derandomize=True)
@given(batch=batches())
def test_matches_slow_reference(name, batch):
    fast, slow = PAIRS[name]
    similarity, target, guided = batch
    s = (
        torch.tensor(similarity, dtype=torch.float64)
        .reshape(len(similarity), len(guided))
        .requires_grad_()
    )
    loss = fast(
        s, torch.tensor(target, dtype=torch.int64), torch.tensor(guided)
    )
    assert loss.item() == pytest.approx(
        slow(similarity, target, guided), abs=1e-10
    )
    loss.backward()
    assert torch.isfinite(s.grad).all()


def test_softmax_by_hand():
    similarity = torch.tensor([[0.3, 0.1, 0.9], [0.0, 0.2, 0.5]])
    guided = torch.tensor([True, True, False])
    loss = Softmax(0.1)(similarity, torch.tensor([0, 0]), guided)
    # log(1 + e^-2) and log(1 + e^2)
    assert loss.item() == pytest.approx((0.126928 + 2.126928) / 2, abs=1e-5)


def test_softmax_is_cross_entropy_over_the_guided_prompts():
    similarity, target, guided = example()
    logits = (similarity / 0.1).masked_fill(~guided, -torch.inf)
    expected = torch.nn.functional.cross_entropy(
        logits[target >= 0], target[target >= 0]
    )
    found = Softmax()(similarity, target, guided)
    torch.testing.assert_close(found, expected)


def test_order_of_samples_does_not_matter(loss_fn):
    s, target, guided = example()
    order = torch.tensor([5, 2, 0, 4, 3, 1])
    torch.testing.assert_close(
        loss_fn(s[order], target[order], guided), loss_fn(s, target, guided)
    )


def test_order_of_prompts_with_their_targets_does_not_matter(loss_fn):
    s, target, guided = example()
    order = torch.tensor([2, 3, 0, 1])
    moved = torch.where(target < 0, target, order.argsort()[target])
    torch.testing.assert_close(
        loss_fn(s[:, order], moved, guided[order]), loss_fn(s, target, guided)
    )


def test_gradient_pulls_to_the_own_prompt_and_pushes_from_others(loss_fn):
    s, target, guided = example()
    s = (0.1 * s).requires_grad_()  # near enough for each hinge to be active
    loss_fn(s, target, guided).backward()
    own = torch.nn.functional.one_hot(target.clamp(min=0), 4).bool()
    takes_part = (target >= 0).unsqueeze(1)
    assert (s.grad[own & takes_part] < 0).all()
    assert (s.grad[~own & takes_part & guided] > 0).all()
    assert (s.grad[:, 3] == 0).all()
    assert (s.grad[2] == 0).all()


def test_a_step_along_the_gradient_lowers_the_loss(loss_fn):
    s, target, guided = example()
    s.requires_grad_()
    loss = loss_fn(s, target, guided)
    loss.backward()
    step = s.detach() - 1e-3 * s.grad
    assert loss_fn(step, target, guided) < loss


def test_sample_without_a_target_takes_no_part(loss_fn):
    s, target, guided = example()
    expected = loss_fn(s[target >= 0], target[target >= 0], guided)
    torch.testing.assert_close(loss_fn(s, target, guided), expected)
    s[2] = float('nan')
    s.requires_grad_()
    loss = loss_fn(s, target, guided)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert torch.isfinite(s.grad).all()


def test_unguided_prompt_takes_no_part(loss_fn):
    s, target, guided = example()
    expected = loss_fn(s[:, :3], target, guided[:3])
    s[:, 3] = 100.0
    torch.testing.assert_close(loss_fn(s, target, guided), expected)


@pytest.mark.parametrize(
    'case',
    ['no sample takes part', 'no guided prompt', 'empty batch', 'no prompt'],
)
def test_nothing_to_compare_gives_a_zero_with_a_graph(loss_fn, case):
    s, target, guided = example()
    if case == 'no sample takes part':
        target = torch.full_like(target, -1)
    elif case == 'no guided prompt':
        guided = torch.zeros_like(guided)
    elif case == 'empty batch':
        s, target = s[:0], target[:0]
    else:
        s, guided = s[:, :0], guided[:0]
    s.requires_grad_()
    loss = loss_fn(s, target, guided)
    assert loss.ndim == 0 and loss.item() == 0
    loss.backward()
    assert s.grad.shape == s.shape and (s.grad == 0).all()


@pytest.mark.parametrize('size', [0.0, 60.0, -60.0, 1e4])
def test_extreme_similarities_stay_finite(loss_fn, size):
    _, target, guided = example()
    s = torch.full((6, 4), size, requires_grad=True)
    loss = loss_fn(s, target, guided)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(s.grad).all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(loss_fn, dtype):
    s, target, guided = example(dtype=torch.float32)
    s = s.to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = loss_fn(s, target, guided)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, loss_fn(s.float(), target, guided))


def test_gradients(loss_fn):
    s, target, guided = example()
    # Away from the kinks of the hinge.
    assert torch.autograd.gradcheck(
        lambda s: loss_fn(s, target, guided), s.requires_grad_()
    )


def test_values_are_never_read_back(loss_fn):
    """A fake tensor raises where a real one on a device would wait."""
    with FakeTensorMode():
        loss = loss_fn(
            torch.empty(6, 4, requires_grad=True),
            torch.empty(6, dtype=torch.int64),
            torch.empty(4, dtype=torch.bool),
        )
        loss.backward()


def test_invalid_shapes(loss_fn):
    s, target, guided = example()
    for arguments in (
        (s[0], target, guided),
        (s, target[:2], guided),
        (s, target, guided[:2]),
    ):
        with pytest.raises(ValueError, match=r'\(B, P\), \(B, \) and \(P, \)'):
            loss_fn(*arguments)


class TestHandWorked:
    """Two samples and two prompts, with numbers made for pocket maths."""

    # With alpha = 1 and margin = 0 each exponential is e^(-s) or e^s.
    s = torch.tensor([[1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    guided = torch.tensor([True, True])
    e = 2.718281828459045

    def log(self, *terms):
        return torch.tensor(1 + sum(terms), dtype=torch.float64).log()

    def test_proxy_anchor(self):
        # Both samples belong to prompt 0: pull log(1 + e^-1 + e^0), push
        # nothing from prompt 0 and log(1 + e^0 + e^-1) from prompt 1.
        target = torch.tensor([0, 0])
        for positive_mean, num_positive in [('positive', 1), ('all', 2)]:
            torch.testing.assert_close(
                ProxyAnchor(1.0, 0.0, positive_mean)(
                    self.s, target, self.guided
                ),
                self.log(1 / self.e, 1) / num_positive
                + self.log(1, 1 / self.e) / 2,
            )

    def test_proxy_anchor_signs_of_the_margin(self):
        # One sample of prompt 0: exp(-2 (1 - .5)) and exp(2 (0 + .5)).
        result = ProxyAnchor(2.0, 0.5)(
            self.s[:1], torch.tensor([0]), self.guided
        )
        torch.testing.assert_close(
            result, self.log(1 / self.e) + self.log(self.e) / 2
        )

    def test_proxy_nca(self):
        # Sample 0 of prompt 0: log(1 + e^-1) + log(1 + e^0).
        # Sample 1 of prompt 1: log(1 + e^1) + log(1 + e^0).
        torch.testing.assert_close(
            ProxyNCA(1.0, 0.0)(self.s, torch.tensor([0, 1]), self.guided),
            (self.log(1 / self.e) + self.log(self.e)) / 2 + self.log(1),
        )

    def test_triplet(self):
        # Sample 0: 0 - 1 + .25 < 0. Sample 1: 0 - (-1) + .25 = 1.25.
        result = Triplet(0.25)(self.s, torch.tensor([0, 1]), self.guided)
        assert result.item() == 1.25 / 2

    def test_defaults_are_those_of_proxy_anchor(self):
        target = torch.tensor([0, 1])
        torch.testing.assert_close(
            ProxyAnchor()(self.s, target, self.guided),
            ProxyAnchor(32.0, 0.1, 'positive')(self.s, target, self.guided),
        )
        torch.testing.assert_close(
            ProxyNCA()(self.s, target, self.guided),
            ProxyNCA(32.0, 0.1)(self.s, target, self.guided),
        )
