"""Prompts, classes and tokens in two dimensions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from mmdavpt.visualization.figures import COLORS, INK, PALE
from tools.visualization.projection import project_2d, projection_figure


def test_pca_by_hand():
    """Variance 8/3 along (1, 1, 0), 2/3 along (0, 0, 1)."""
    vectors = np.array([[1, 1, 1], [-1, -1, 1], [1, 1, -1], [-1, -1, -1.0]])
    found = project_2d(vectors + 5)
    expected = np.array([[1, 0.5], [-1, 0.5], [1, -0.5], [-1, -0.5]])
    expected *= [2**0.5, 2]
    signs = np.sign(found[0]) * np.sign(expected[0])
    np.testing.assert_allclose(found * signs, expected, atol=1e-12)


@given(st.integers(0, 99), st.integers(3, 12))
@settings(max_examples=20)
def test_pca_equals_an_eigendecomposition(seed, number):
    vectors = np.random.default_rng(seed).normal(size=(number, 5))
    centred = vectors - vectors.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    expected = centred @ axes[:, :-3:-1]
    found = project_2d(vectors)
    np.testing.assert_allclose(abs(found), abs(expected), atol=1e-8)


def test_tsne_keeps_far_groups_apart():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(24, 6)) + np.repeat([[0], [90]], 12, axis=0)
    found = project_2d(vectors, 'tsne')
    assert found.shape == (24, 2)
    assert np.array_equal(found, project_2d(vectors, 'tsne'))
    near = np.linalg.norm(found[:, None] - found, axis=-1)
    assert near[:12, :12].max() < near[:12, 12:].min()


def test_unknown_methods_are_rejected():
    with pytest.raises(ValueError, match="'pca', 'tsne'.*but got 'umap'"):
        project_2d(np.eye(3), 'umap')


def test_classes_have_the_color_of_their_prompt():
    prompts = np.array([[0.0, 0.0], [4.0, 0.0]])
    samples = np.array([[0.0, 1.0], [0.0, 3.0], [4.0, 1.0], [9.0, 9.0]])
    mapping = {7: 0, 2: 1, 5: -1}
    figure = projection_figure(prompts, samples, [7, 7, 2, 5], mapping)
    figure.canvas.draw()
    ax = figure.axes[0]
    *rest, stars = ax.collections
    sizes = [len(points.get_offsets()) for points in rest]
    # Samples and mean of classes 2, 5 and 7.
    assert sizes == [1, 1, 1, 1, 2, 1]
    colors = [to_hex(points.get_facecolor()[0]) for points in rest]
    assert colors[::2] == colors[1::2] == [COLORS[1], PALE, COLORS[0]]
    assert to_hex(stars.get_facecolor()[0]) == INK
    ends = {tuple(map(tuple, np.round(li.get_xydata(), 9))) for li in ax.lines}
    means = [np.round(rest[i].get_offsets()[0], 9) for i in (1, 5)]
    points = np.round(stars.get_offsets(), 9)
    assert ends == {
        (tuple(means[0]), tuple(points[1])),
        (tuple(means[1]), tuple(points[0])),
    }
    middle = rest[4].get_offsets().mean(0)
    np.testing.assert_allclose(rest[5].get_offsets()[0], middle)
    assert [t.get_text() for t in ax.texts] == ['0', '1']
    assert (ax.get_xlabel(), ax.get_ylabel()) == ('PCA 1', 'PCA 2')
    alone = projection_figure(prompts, samples, [0, 0, 1, 1])
    assert not alone.axes[0].lines
