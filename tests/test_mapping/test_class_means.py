"""Tests of the class representations."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mmdavpt.mapping import accumulate, class_means


def zeros(classes=3, channels=2, dtype=torch.float32):
    return torch.zeros(classes, channels, dtype=dtype), torch.zeros(
        classes, dtype=torch.int64
    )


def test_hand_worked():
    sums, counts = zeros()
    accumulate(
        sums,
        counts,
        torch.tensor([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]),
        torch.tensor([0, 0, 2]),
    )
    accumulate(sums, counts, torch.tensor([[5.0, 0.0]]), torch.tensor([0]))
    assert sums.tolist() == [[9.0, 6.0], [0.0, 0.0], [9.0, 9.0]]
    assert counts.tolist() == [3, 0, 1]
    previous = torch.tensor([[7.0, 7.0], [8.0, 8.0], [6.0, 6.0]])
    seen = torch.tensor([False, True, False])
    representations, now_seen = class_means(sums, counts, previous, seen)
    # The unseen class 1 keeps its representation.
    assert representations.tolist() == [[3.0, 2.0], [8.0, 8.0], [9.0, 9.0]]
    assert now_seen.tolist() == [True, True, True]
    assert seen.tolist() == [False, True, False]
    assert previous.tolist() == [[7.0, 7.0], [8.0, 8.0], [6.0, 6.0]]


def test_matches_slow_reference_in_any_order():
    torch.manual_seed(0)
    features = torch.randn(50, 4, dtype=torch.float64)
    labels = torch.randint(-1, 6, (50,))
    sums, counts = zeros(6, 4, torch.float64)
    order = torch.randperm(50)
    for part in order.split(7):
        accumulate(sums, counts, features[part], labels[part])
    means, seen = class_means(
        sums, counts, torch.zeros(6, 4), torch.zeros(6, dtype=torch.bool)
    )
    for k in range(6):
        members = [f for f, y in zip(features, labels, strict=True) if y == k]
        torch.testing.assert_close(means[k], sum(members) / len(members))
    assert seen.all() and counts.sum() == (labels >= 0).sum()


def test_class_never_seen_stays_unseen():
    sums, counts = zeros()
    representations, seen = class_means(
        sums, counts, torch.ones(3, 2), torch.zeros(3, dtype=torch.bool)
    )
    assert not seen.any() and (representations == 1).all()


def test_sample_without_a_label_counts_for_no_class():
    sums, counts = zeros()
    features = torch.full((2, 2), float('nan'))
    accumulate(sums, counts, features, torch.tensor([-1, -1]))
    assert (sums == 0).all() and (counts == 0).all()
    accumulate(sums, counts, features[:0], torch.tensor([]).long())
    assert (sums == 0).all() and (counts == 0).all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_features_are_summed_in_float32(dtype):
    sums, counts = zeros(1, 1)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        for _ in range(5):
            accumulate(
                sums,
                counts,
                torch.ones(1000, 1, dtype=dtype),
                torch.zeros(1000, dtype=torch.int64),
            )
    # A sum in float16 or bfloat16 would have stopped at 2048 or 256.
    assert sums.item() == 5000.0 and counts.item() == 5000


def test_no_graph_is_kept():
    sums, counts = zeros()
    accumulate(
        sums,
        counts,
        torch.ones(2, 2, requires_grad=True),
        torch.tensor([0, 1]),
    )
    assert not sums.requires_grad


def test_values_are_never_read_back():
    """A fake tensor raises where a real one on a device would wait."""
    with FakeTensorMode():
        sums, counts = zeros()
        accumulate(
            sums, counts, torch.empty(4, 2), torch.empty(4, dtype=torch.int64)
        )
        class_means(
            sums, counts, torch.empty(3, 2), torch.empty(3, dtype=torch.bool)
        )


def test_other_dtypes_of_sums_are_rejected():
    sums, counts = zeros()
    features, labels = torch.ones(4, 2), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(TypeError, match='float32 or float64'):
        accumulate(sums.half(), counts, features, labels)
