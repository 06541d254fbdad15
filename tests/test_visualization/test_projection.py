"""Prompts, classes and tokens in two dimensions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from mmengine.config import Config
from torch.nn import functional as F

from mmdavpt.engine.runner import DAVPTRunner
from mmdavpt.visualization import load_picture, projection
from mmdavpt.visualization.figures import COLORS, INK, PALE
from mmdavpt.visualization.projection import (
    draw_classes,
    project_2d,
    projection_figure,
)
from tests import toy


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


@pytest.mark.parametrize('guided', [True, False])
def test_queries_of_a_dataset_are_drawn(guided, tmp_path, monkeypatch):
    changes = {'model.backbone.num_prompts': [3, 0]}
    if not guided:
        changes['model.guidance'] = None
    else:
        changes['model.guidance.guided_layers'] = (0,)
    runner = DAVPTRunner.from_cfg(
        Config(toy.classification(tmp_path, changes))
    )
    model, data = (
        runner.model.eval(),
        runner.build_dataloader(runner.cfg.val_dataloader).dataset,
    )
    labels = [-1, *data.get_gt_labels()[1:]]
    drawn = []
    monkeypatch.setattr(
        projection, 'projection_figure', lambda *args: drawn.append(args)
    )
    draw_classes(model, data, labels, most=8)
    [(prompts, samples, shown, mapping)] = drawn
    indices = [*range(1, len(data))]
    indices = indices[:: -(-len(indices) // 8)]
    assert 4 <= len(indices) <= 8
    assert shown.tolist() == [labels[i] for i in indices]
    # By hand: the first layer, the last one with prompts.
    seen = []
    layer = model.backbone.layers[0]
    layer.ln1.register_forward_hook(lambda _, x, y: seen.append(y))
    batch = torch.cat([load_picture(model, data, i)[1] for i in indices])
    model.backbone(batch)
    dims = model.backbone.embed_dims
    weight, bias = layer.attn.qkv.weight[:dims], layer.attn.qkv.bias[:dims]
    [normed] = [x for x in seen if len(x) == len(batch)]
    expected = normed[:, 0] @ weight.T + bias
    np.testing.assert_allclose(samples, expected.detach(), atol=1e-5)
    norm, rows = layer.ln1, model.backbone.prompts['0']
    rows = F.layer_norm(rows, (dims,), norm.weight, norm.bias, norm.eps)
    expected = (rows @ weight.T + bias).detach()
    np.testing.assert_allclose(prompts, expected, atol=1e-5)
    if guided:
        assert mapping == model.guidance.mapping.tolist()
    else:
        assert mapping is None


def test_nothing_is_drawn_without_classes_or_prompts(tmp_path):
    changes = {'model.backbone.num_prompts': 0, 'model.guidance': None}
    runner = DAVPTRunner.from_cfg(
        Config(toy.classification(tmp_path, changes))
    )
    assert draw_classes(runner.model.eval(), [], [0, 1]) is None
    changes = {'model.guidance': None}
    runner = DAVPTRunner.from_cfg(
        Config(toy.classification(tmp_path / 'p', changes))
    )
    assert draw_classes(runner.model.eval(), [], [-1, -1]) is None
