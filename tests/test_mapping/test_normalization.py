"""Tests of the normalization of class representations."""

import numpy as np
import pytest

from mmdavpt.mapping import cluster, normalize_rows
from mmdavpt.mapping.normalization import CHUNK


def test_normalize_rows():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [5.0, 5.0]], np.float32)
    np.testing.assert_allclose(
        normalize_rows(x, 'l2'), [[0.6, 0.8], [0, 0], [0.5**0.5, 0.5**0.5]]
    )
    np.testing.assert_allclose(
        normalize_rows(x, 'layer'), [[-1, 1], [0, 0], [0, 0]], atol=1e-5
    )
    # The mean is (4/3, 5/3): the rows less it have known directions.
    centered = normalize_rows(x, 'centered')
    np.testing.assert_allclose(
        centered * np.linalg.norm(x - x.mean(0), axis=1)[:, None],
        x - x.mean(0),
        atol=1e-6,
    )
    np.testing.assert_allclose(np.linalg.norm(centered, axis=1), 1)
    assert (normalize_rows(x, 'none') == x).all()
    assert normalize_rows(x, 'none').dtype == np.float64
    assert x.tolist() == [[3, 4], [0, 0], [5, 5]]
    with pytest.raises(ValueError, match="one of .*but got 'max'"):
        normalize_rows(x, 'max')


@pytest.mark.parametrize('normalize', ['l2', 'centered', 'layer'])
def test_working_on_some_rows_at_a_time_changes_no_bit(normalize):
    x = np.random.default_rng(0).normal(size=(CHUNK + 3, 7)).astype(np.float32)
    rows = x.astype(np.float64)
    if normalize == 'layer':
        rows -= rows.mean(axis=1, keepdims=True)
        whole = rows / np.sqrt(rows.var(axis=1, keepdims=True) + 1e-6)
    else:
        if normalize == 'centered':
            rows -= rows.mean(axis=0)
        whole = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_array_equal(normalize_rows(x, normalize), whole)


def test_centering_keeps_the_mapping_when_all_classes_drift():
    """A shift that all classes share scrambles clusters of unit vectors."""
    rng = np.random.default_rng(0)
    common, drift = rng.normal(size=(2, 16)) * 10
    before = common + 0.3 * rng.normal(size=(26, 16))
    after = before + 0.2 * drift

    def moved(normalize):
        first, centroids = cluster(before, 8, normalize=normalize)
        second, _ = cluster(after, 8, init=centroids, normalize=normalize)
        return (first != second).sum()

    assert moved('l2') > 10
    assert moved('centered') == 0
