"""A value map is suggested only where the values can be read one way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdavpt.datasets.load_masks import suggest_value_map


@pytest.mark.parametrize(
    'values, num_classes, expected',
    [
        ({0, 255}, None, {0: 0, 255: 1}),
        ({0, 255}, 2, {0: 0, 255: 1}),
        (np.array([255, 0, 0], np.uint8), None, {0: 0, 255: 1}),
        ({0, 127, 255}, None, {0: 0, 127: 1, 255: 2}),
        ({0, 50, 100}, None, {0: 0, 50: 1, 100: 2}),
        ({0, 29, 76, 150}, None, {0: 0, 29: 1, 76: 2, 150: 3}),
        ({0, 65535}, 2, {0: 0, 65535: 1}),
        ({1, 2, 3}, 3, {1: 0, 2: 1, 3: 2}),
        ({1, 2, 255}, 2, {1: 0, 2: 1, 255: 255}),
        ({0, 7, 15}, 3, {0: 0, 7: 1, 15: 2}),
        ({7, 15}, 2, {7: 0, 15: 1}),
    ],
)
def test_values_that_are_not_classes(values, num_classes, expected):
    assert suggest_value_map(values, num_classes) == expected


@pytest.mark.parametrize(
    'values, num_classes',
    [
        # Classes already, some of which may not occur.
        *[((), None), ({0}, None), ({0, 1}, None), ({0, 1, 2}, 3)],
        *[({0, 7, 15}, 21), ({0, 7, 15}, None), ({1, 2}, 3), ({0, 2}, 3)],
        # Classes and ignored pixels.
        *[({0, 1, 255}, k) for k in (None, 2, 3)],
        *[({0, 1, 2, 255}, k) for k in (None, 3, 4)],
        *[({0, 255}, k) for k in (1, 3, 150)],
        # 255 may be ignored or a class.
        *[({1, 255}, k) for k in (None, 1, 2)],
        *[({0, 127, 255}, 2), ({0, 5, 255}, 3), ({255}, 1), ({255}, None)],
        # Class 0 may not occur; the classes are more or fewer.
        *[({1, 2, 3}, None), ({1, 2, 3}, 2), ({0, 128}, 3), ({5}, 1)],
        # A stray value, and a class that does not occur.
        *[({0, 1, 2, 3, 77}, 5), ({0, 2, 9}, 3)],
        # The noise of a JPEG.
        ({0, 1, 2, 3, 252, 254, 255}, None),
        ({0, 1, 2, 3, 252, 254, 255}, 2),
    ],
)
def test_values_that_may_be_classes(values, num_classes):
    assert suggest_value_map(values, num_classes) is None


@given(
    st.sets(st.integers(0, 300), max_size=6),
    st.none() | st.integers(1, 8),
)
def test_no_two_values_become_one_class(values, num_classes):
    suggested = suggest_value_map(values, num_classes)
    if suggested is not None:
        assert suggested.keys() == values
        classes = [k for k in suggested.values() if k != 255]
        assert sorted(classes) == list(range(len(classes)))
        assert num_classes in (None, len(classes))
        assert values - {255} != set(range(len(values - {255}))) or (
            values == {0, 255}
        )
