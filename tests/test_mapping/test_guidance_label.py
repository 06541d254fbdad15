"""Tests of the guidance label of a segmentation sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdavpt.mapping import draw_guidance_label


def draw(labels, num_classes=5, excluded=(), ignore_index=255, seed=0):
    return draw_guidance_label(
        np.array(labels),
        num_classes,
        excluded,
        ignore_index,
        np.random.default_rng(seed),
    )


def test_is_uniform_over_classes_not_over_pixels():
    labels = np.zeros((40, 40), np.uint8)
    labels[0, 0], labels[0, 1], labels[1] = 2, 4, 255
    rng = np.random.default_rng(0)
    counts = np.bincount(
        [draw_guidance_label(labels, 5, (), 255, rng) for _ in range(3000)],
        minlength=5,
    )
    assert counts[[1, 3]].tolist() == [0, 0]
    # 1000 each, standard deviation 26.
    assert (abs(counts[[0, 2, 4]] - 1000) < 130).all()


def test_excluded_classes_are_never_drawn():
    labels = [[0, 0, 3], [1, 255, 3]]
    drawn = {draw(labels, excluded=(0, 1), seed=seed) for seed in range(20)}
    assert drawn == {3}
    assert {draw(labels, seed=seed) for seed in range(40)} == {0, 1, 3}


def test_ignored_label_is_never_drawn_though_it_is_a_class():
    drawn = {draw([0, 1, 2], ignore_index=1, seed=seed) for seed in range(20)}
    assert drawn == {0, 2}


@pytest.mark.parametrize(
    'labels, excluded',
    [
        ([[255, 255]], ()),
        ([[0, 255]], (0,)),
        (np.zeros((0, 3), int), ()),
    ],
)
def test_no_class_gives_no_label_and_uses_no_randomness(labels, excluded):
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    assert draw_guidance_label(np.array(labels), 5, excluded, 255, rng) == -1
    assert rng.bit_generator.state == state


def test_is_the_same_for_a_seed():
    labels = np.arange(100).reshape(10, 10)
    for seed in range(5):
        assert draw(labels, 100, seed=seed) == draw(labels, 100, seed=seed)
    assert len({draw(labels, 100, seed=seed) for seed in range(5)}) > 1


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.int64, np.uint64])
def test_integer_types(dtype):
    label = draw_guidance_label(
        np.array([[3, 3, 255]], dtype), 5, (), 255, np.random.default_rng(0)
    )
    assert label == 3 and type(label) is int


def test_labels_out_of_range():
    with pytest.raises(ValueError, match=r'in \[0, 5\) or be 255 .*\[5, 9\]'):
        draw([0, 9, 255, 5])
    with pytest.raises(ValueError, match=r'but got \[5\]'):
        draw([0, 5])
    with pytest.raises(ValueError, match=r'but got \[-1\]; check num_class'):
        draw([0, -1])
    # 255 is out of range as soon as another label is ignored.
    with pytest.raises(ValueError, match=r'but got \[255\]'):
        draw([0, 255], ignore_index=-100)


@given(
    labels=st.lists(st.integers(0, 6) | st.just(255), max_size=40),
    excluded=st.sets(st.integers(0, 6)),
    seed=st.integers(0, 9),
)
def test_any_pattern_of_labels(labels, excluded, seed):
    drawn = draw_guidance_label(
        np.array(labels, dtype=np.int64),
        7,
        excluded,
        255,
        np.random.default_rng(seed),
    )
    candidates = set(labels) - excluded - {255}
    assert drawn in candidates if candidates else drawn == -1
