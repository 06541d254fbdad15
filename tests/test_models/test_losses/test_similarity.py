"""Tests of the cosine similarity matrix."""

import pytest
import torch

from mmdavpt.models.losses import cosine_similarity_matrix
from mmdavpt.models.losses.similarity import centered

from .reference import similarities


def test_hand_worked():
    x = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    prompts = torch.tensor([[10.0, 0.0], [0.0, -1.0], [1.0, 1.0]])
    expected = torch.tensor([[0.6, -0.8, 1.4 / 2**0.5], [0.0, -1.0, 0.5**0.5]])
    torch.testing.assert_close(cosine_similarity_matrix(x, prompts), expected)
    torch.testing.assert_close(
        cosine_similarity_matrix(x, prompts, prompt_scale=5.0), 5 * expected
    )


def test_centered_by_hand():
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0], [torch.nan, 9.0]])
    mask = torch.tensor([[True], [True], [False]])
    expected = torch.tensor([[-1.0, -2.0], [1.0, 2.0], [torch.nan, 5.0]])
    assert centered(x, mask).allclose(expected, equal_nan=True)
    assert torch.equal(centered(x[:2], ~mask[:2]), x[:2])
    assert centered(x.half(), mask).dtype == torch.float32


def test_centered_vectors_do_not_depend_on_a_common_offset():
    torch.manual_seed(0)
    x = torch.randn(5, 4, dtype=torch.float64)
    mask = torch.tensor([1, 1, 0, 1, 1], dtype=torch.bool).unsqueeze(1)
    torch.testing.assert_close(centered(x + 7, mask), centered(x, mask))
    assert centered(x, mask)[mask[:, 0]].mean(0).abs().max() < 1e-12


def test_matches_slow_reference():
    torch.manual_seed(0)
    x = torch.randn(5, 7, dtype=torch.float64)
    prompts = torch.randn(3, 7, dtype=torch.float64)
    expected = torch.tensor(similarities(x, prompts, 2.0), dtype=torch.float64)
    result = cosine_similarity_matrix(x, prompts, 2.0)
    assert result.dtype == torch.float64
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)


def test_length_of_inputs_does_not_matter():
    torch.manual_seed(0)
    x, prompts = torch.randn(4, 8), torch.randn(3, 8)
    torch.testing.assert_close(
        cosine_similarity_matrix(1e4 * x, 1e-4 * prompts),
        cosine_similarity_matrix(x, prompts),
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_compared_in_float32(dtype):
    torch.manual_seed(0)
    # Squares of 300 overflow float16.
    x, prompts = 300 * torch.randn(4, 64), torch.randn(3, 64)
    x, prompts = x.to(dtype), prompts.to(dtype)
    result = cosine_similarity_matrix(x, prompts)
    assert result.dtype == torch.float32
    torch.testing.assert_close(
        result, cosine_similarity_matrix(x.float(), prompts.float())
    )


def test_autocast_changes_nothing():
    torch.manual_seed(0)
    x, prompts = torch.randn(4, 64), torch.randn(3, 64)
    expected = cosine_similarity_matrix(x, prompts)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        result = cosine_similarity_matrix(x, prompts)
        mixed = cosine_similarity_matrix(x.bfloat16(), prompts)
    assert result.dtype == mixed.dtype == torch.float32
    assert torch.equal(result, expected)


def test_a_zero_vector_is_similar_to_nothing_and_gets_no_gradient():
    x = torch.tensor([[0.0, 0.0], [1.0, 2.0]], requires_grad=True)
    prompts = torch.tensor([[1.0, 0.0], [0.0, 0.0]], requires_grad=True)
    result = cosine_similarity_matrix(x, prompts)
    assert result[0].tolist() == [0.0, 0.0] and result[1, 1] == 0
    result.sum().backward()
    assert x.grad[0].tolist() == [0.0, 0.0]
    assert prompts.grad[1].tolist() == [0.0, 0.0]
    # 1/5**.5 of (x, y): d/dx = y^2 / r^3, d/dy = -xy / r^3.
    torch.testing.assert_close(x.grad[1], torch.tensor([4.0, -2.0]) / 5**1.5)


def test_gradients():
    torch.manual_seed(0)
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    prompts = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        cosine_similarity_matrix, (x, prompts, 3.0)
    )
