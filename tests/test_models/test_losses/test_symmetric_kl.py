"""The symmetric KL divergence against hand-worked values and loops."""

import math

import torch

from mmdavpt.models.losses import symmetric_kl

HALVES, QUARTERS = (
    torch.tensor(p, dtype=torch.float64).log()
    for p in ([[0.5, 0.5]], [[0.25, 0.75]])
)


def randn(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *shape, generator=generator, dtype=torch.float64)


def by_loops(first, second):
    values = []
    for a, b in zip(first, second, strict=True):
        p, q = (torch.exp(x) / torch.exp(x).sum() for x in (a, b))
        one = sum(float(p[k] * (p[k] / q[k]).log()) for k in range(len(p)))
        other = sum(float(q[k] * (q[k] / p[k]).log()) for k in range(len(p)))
        values.append((one + other) / 2)
    return sum(values) / len(values)


def test_by_hand():
    # The sum of (p - q) (ln p - ln q) is ln(3) / 4.
    value = symmetric_kl(HALVES, QUARTERS)
    assert math.isclose(value, math.log(3) / 8)


def test_gradients_by_hand():
    p, q = (x.clone().requires_grad_() for x in (HALVES, QUARTERS))
    symmetric_kl(p, q).backward()
    expected = torch.tensor([[0.125, -0.125]], dtype=torch.float64)
    torch.testing.assert_close(p.grad, expected)
    torch.testing.assert_close(q.grad, -expected)


def test_mean_over_images_and_pixels():
    first, second = randn(3, 5)
    expected = by_loops(first, second)
    assert math.isclose(symmetric_kl(first, second), expected)
    first, second = randn(2, 5, 3, 4)
    pixels = [x.permute(0, 2, 3, 1).reshape(-1, 5) for x in (first, second)]
    expected = by_loops(*pixels)
    assert math.isclose(symmetric_kl(first, second), expected)


def test_one_class_is_a_sigmoid():
    first, second = randn(2, 1, 3, 4)
    zeros = torch.zeros_like(first)
    both = [torch.cat([x, zeros], 1) for x in (first, second)]
    assert torch.equal(symmetric_kl(first, second), symmetric_kl(*both))
    p, q = first.sigmoid(), second.sigmoid()
    bernoulli = (p - q) * (p.logit() - q.logit()) / 2
    torch.testing.assert_close(symmetric_kl(first, second), bernoulli.mean())


def test_properties():
    first, second = randn(4, 6)
    value = symmetric_kl(first, second)
    assert value > 0 and symmetric_kl(first, first) == 0
    torch.testing.assert_close(symmetric_kl(second, first), value)
    torch.testing.assert_close(symmetric_kl(first + 9, second - 9), value)


def test_half_precision_is_computed_in_float32():
    first, second = randn(4, 6).bfloat16()
    value = symmetric_kl(first, second)
    assert value.dtype == torch.float32
    torch.testing.assert_close(
        value, symmetric_kl(first.float(), second.float())
    )
