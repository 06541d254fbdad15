"""Regions by hand, and against loops over pixels and patches."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdavpt.models.backbones import BackboneTokens
from mmdavpt.models.guidance.regions import (
    find_regions,
    patch_labels,
    region_means,
    region_tokens,
)


def test_patch_labels_by_hand():
    """Patches of 2x2: all of 1; three of 2; a tie of 0 and 3; ignored."""
    pixels = torch.tensor(
        [[[1, 1, 2, 2], [1, 1, 2, 0], [3, 0, 255, 255], [0, 3, 255, 1]]]
    )
    args = pixels, (2, 2), 4
    assert patch_labels(*args).tolist() == [[1, 2, 0, -1]]
    assert patch_labels(*args, excluded=[2]).tolist() == [[1, -1, 0, -1]]


def test_padding_has_no_class():
    """A 3x3 image in 2x2 patches: half of a border patch is padding."""
    pixels = torch.ones(1, 3, 3, dtype=torch.int64)
    assert patch_labels(pixels, (2, 2), 2).tolist() == [[1, 1, 1, -1]]


def slow_patch_labels(pixels, patch, classes, excluded):
    rows = []
    for image in pixels.tolist():
        row, height, width = [], len(image), len(image[0])
        for top in range(0, height, patch[0]):
            for left in range(0, width, patch[1]):
                count = [0] * classes
                for y in range(top, min(top + patch[0], height)):
                    for x in range(left, min(left + patch[1], width)):
                        if 0 <= image[y][x] < classes:
                            count[image[y][x]] += 1
                best = count.index(max(count))
                enough = 2 * count[best] >= patch[0] * patch[1]
                taken = enough and count[best] and best not in excluded
                row.append(best if taken else -1)
        rows.append(row)
    return rows


@settings(max_examples=40)
@given(st.data())
def test_patch_labels_equal_a_loop(data):
    classes = data.draw(st.integers(1, 5))
    height, width = (data.draw(st.integers(1, 9)) for _ in range(2))
    patch = tuple(data.draw(st.integers(1, 4)) for _ in range(2))
    seed = data.draw(st.integers(0, 99))
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(
        0, classes + 2, (2, height, width), generator=generator
    )
    pixels[pixels > classes] = 255
    excluded = data.draw(st.sampled_from([(), (0,)]))
    ours = patch_labels(pixels, patch, classes, excluded)
    assert ours.tolist() == slow_patch_labels(pixels, patch, classes, excluded)


def test_regions_by_hand():
    labels = torch.tensor([[2, -1, 2, 0], [-1, -1, -1, -1], [0, 0, 1, -1]])
    regions = find_regions(labels)
    assert regions.labels.tolist() == [0, 2, 0, 1]
    assert regions.sizes.tolist() == [1, 2, 2, 1]
    assert regions.index.tolist() == [
        [1, -1, 1, 0],
        [-1, -1, -1, -1],
        [2, 2, 3, -1],
    ]
    x = torch.arange(24.0).view(3, 4, 2)
    assert region_means(x, regions).tolist() == [
        [6, 7],
        [2, 3],
        [17, 18],
        [20, 21],
    ]


@pytest.mark.parametrize('labels', [[[-1, -1]], [[3, 3]], [[-1, 5]]])
def test_few_regions(labels):
    regions = find_regions(torch.tensor(labels))
    present = sorted(set(labels[0]) - {-1})
    assert regions.labels.tolist() == present
    means = region_means(torch.ones(1, 2, 3), regions)
    assert means.tolist() == [[1.0] * 3] * len(present)


@pytest.mark.parametrize('seed', range(5))
def test_region_means_equal_a_loop_and_have_its_gradient(seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 4, (3, 9), generator=generator)
    x = torch.randn(3, 9, 5, generator=generator, dtype=torch.float64)
    x.requires_grad_()
    expected, classes = [], []
    for b in range(3):
        for k in range(4):
            patches = [x[b, n] for n in range(9) if labels[b, n] == k]
            if patches:
                expected.append(sum(patches) / len(patches))
                classes.append(k)
    regions = find_regions(labels)
    means = region_means(x, regions)
    assert regions.labels.tolist() == classes
    torch.testing.assert_close(means, torch.stack(expected))
    weights = torch.randn(means.shape, generator=generator).double()
    ours = torch.autograd.grad((means * weights).sum(), x)[0]
    theirs = torch.autograd.grad((torch.stack(expected) * weights).sum(), x)[0]
    torch.testing.assert_close(ours, theirs)
    assert not ours[labels < 0].any()


def test_half_precision_is_summed_in_float32():
    x = torch.full((1, 4096, 1), 1.01, dtype=torch.bfloat16)
    regions = find_regions(torch.zeros(1, 4096, dtype=torch.int64))
    mean = region_means(x, regions)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean.item(), x[0, 0].item())


def test_tokens_of_regions():
    regions = find_regions(torch.tensor([[0, 1, 1]]))
    x = torch.arange(6.0).view(1, 3, 2)
    prompts = torch.randn(4, 2)
    tokens = dict(
        patch_output=x,
        patch_query=x + 1,
        cls_query=torch.zeros(1, 2),
        prompt_query=prompts,
    )
    result = region_tokens(
        BackboneTokens(torch.zeros(1, 2), {5: tokens}, x + 2), regions
    )
    assert result.cls.tolist() == [[2, 3], [5, 6]]
    made = result.guided[5]
    assert made['patch_output'].tolist() == [[[0, 1]], [[3, 4]]]
    assert made['cls_query'].tolist() == [[1, 2], [4, 5]]
    assert made['prompt_query'] is prompts
    assert set(made) == {
        'patch_output',
        'patch_query',
        'cls_query',
        'prompt_query',
    }
