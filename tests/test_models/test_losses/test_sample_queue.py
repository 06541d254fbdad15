"""The queue of past samples on its own."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mmdavpt.models.losses.sample_queue import SampleQueue


def rows(*values):
    """One term, one layer, one channel."""
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1)


def contents(queue):
    return [
        (x, c)
        for x, c in zip(
            queue.samples.flatten().tolist(),
            queue.labels.tolist(),
            strict=True,
        )
        if c >= 0
    ]


def test_hand_worked():
    queue = SampleQueue(3, 1, 1, 1)
    assert contents(queue) == []
    queue.push(rows(1, 2), torch.tensor([5, 6]))
    assert contents(queue) == [(1, 5), (2, 6)]
    # The second takes no part, so it takes no place.
    queue.push(rows(3, 4, 5), torch.tensor([7, -1, 8]))
    assert contents(queue) == [(2, 6), (3, 7), (5, 8)]
    samples, labels = queue.extend(rows(9), torch.tensor([0]))
    assert samples.flatten().tolist() == [9, 2, 3, 5]
    assert labels.tolist() == [0, 6, 7, 8]
    # More than there are places: the last ones stay, in their order.
    queue.push(rows(10, 11, 12, 13, 14), torch.tensor([1, 2, 3, -1, 4]))
    assert contents(queue) == [(11, 2), (12, 3), (14, 4)]
    queue.push(rows(), torch.tensor([], dtype=torch.int64))
    assert contents(queue) == [(11, 2), (12, 3), (14, 4)]
    queue.reset()
    assert contents(queue) == [] and queue.samples.abs().sum() == 0


@pytest.mark.parametrize('size', [1, 2, 5, 16])
def test_holds_the_last_samples_whatever_the_batches(size):
    generator = torch.Generator().manual_seed(size)
    queue, seen = SampleQueue(size, 2, 3, 4), []
    for batch in (3, 0, 1, 7, 2):
        samples = torch.randn(batch, 2, 3, 4, generator=generator)
        labels = torch.randint(-1, 3, (batch,), generator=generator)
        queue.push(samples, labels)
        seen += [
            (x, c)
            for x, c in zip(samples, labels.tolist(), strict=True)
            if c >= 0
        ]
        last = seen[-size:]
        assert (queue.labels >= 0).sum() == len(last)
        if last:
            assert queue.labels[-len(last) :].tolist() == [c for _, c in last]
            assert torch.equal(
                queue.samples[-len(last) :], torch.stack([x for x, _ in last])
            )


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_sample_that_is_not_finite_is_not_kept(value):
    queue = SampleQueue(2, 1, 1, 1)
    queue.push(rows(1, value), torch.tensor([3, 4]))
    assert contents(queue) == [(1, 3)]
    assert queue.samples.flatten().tolist() == [0, 1]


def test_what_was_handed_out_does_not_change_with_the_queue():
    queue = SampleQueue(2, 1, 1, 1)
    queue.push(rows(1, 2), torch.tensor([0, 1]))
    batch = rows(3).requires_grad_()
    samples, _ = queue.extend(batch, torch.tensor([0]))
    loss = samples.square().sum()
    queue.push(batch.detach(), torch.tensor([0]))
    loss.backward()
    assert batch.grad.item() == 6
    assert not queue.samples.requires_grad


def test_state_takes_the_bytes_that_are_documented():
    queue = SampleQueue(256, 2, 12, 768)
    held = sum(b.numel() * b.element_size() for b in queue.buffers())
    assert held == 4 * 256 * 2 * 12 * 768 + 8 * 256
    assert round(held / 2**20) == 18
    one = sum(
        b.numel() * b.element_size()
        for b in SampleQueue(256, 2, 1, 768).buffers()
    )
    assert round(one / 2**20, 1) == 1.5
    assert set(queue.state_dict()) == {'samples', 'labels'}


def test_values_are_never_read_back():
    """A fake tensor raises where a real one on a device would wait."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        queue = SampleQueue(4, 1, 1, 2)
        samples = torch.empty(3, 1, 1, 2)
        labels = torch.empty(3, dtype=torch.int64)
        queue.extend(samples, labels)
        queue.push(samples, labels)
