"""Attention maps equal the softmax of the plain, concatenated pass."""

import math

import numpy as np
import pytest
import torch

from mmdavpt.errors import UsageError
from mmdavpt.visualization import attention_figure, layer_attention

from ..test_models.test_backbones import timm_models
from ..test_models.test_backbones.test_davpt_vit import build, images
from ..test_models.test_tuners.reference import PlainPass, Prefix
from ..test_models.test_tuners.timm_reference import TimmPass

TARGETS = torch.tensor([2, 0])
FORMS = dict(
    prefix={},
    features=dict(out_type='featmap', out_indices=[0, 2]),
    bias=dict(bias=('q', 'k', 'v')),
    # Further keys, which are no prompts.
    further_keys=dict(tuners=[dict(type=Prefix)]),
    among_tokens=dict(propagate=True),
    shallow=dict(propagate=True, num_prompts=(4, 0, 0)),
    pooled=dict(out_type='avg_featmap', pool_prompts=True),
    some_layers=dict(num_prompts=(0, 3, 4)),
)


def softmax_of(states, count, first, size, heads):
    """Return [CLS]'s and the targets' softmax: over patches, over prompts.

    Args:
        states: What a plain pass computed, keys of tuners last.
        count: The number of prompts, after ``first`` other tokens.
        size: The number of all tokens.
    """
    query, key = states[2], states[3]
    found = []
    for rows in ([0, 0], (first + TARGETS).tolist()):
        maps = torch.zeros(2, heads, key.shape[1], dtype=query.dtype)
        for b, row in enumerate(rows):
            q = query[b, row].reshape(heads, -1)
            k = key[b].reshape(key.shape[1], heads, -1)
            for h in range(heads):
                scores = k[:, h] @ q[h] / math.sqrt(q.shape[1])
                maps[b, h] = scores.exp() / scores.exp().sum()
        patches = maps[..., first + count : size]
        found.append((patches, maps[..., first : first + count]))
    return found


class Recorder(PlainPass):
    """A plain pass that keeps the states of each layer."""

    def layer(self, i, x):
        out, states = super().layer(i, x)
        self.states.append(states)
        return out, states


def assert_equal(vit, inputs, layer, expected):
    for prompt, (patches, prompts) in zip(
        (None, TARGETS), expected, strict=True
    ):
        found = layer_attention(vit, inputs, layer, prompt)
        for ours, theirs in (
            (found.patches.flatten(2), patches),
            (found.prompts, prompts),
        ):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
        assert found.patches.min() > 0


@pytest.mark.parametrize('layer', [0, 1, 2])
@pytest.mark.parametrize('form', FORMS)
def test_maps_equal_the_softmax_of_a_plain_pass(form, layer):
    vit = build(**FORMS[form])
    count = vit.prompts.counts[layer] or (4 if vit.propagate else 0)
    plain = Recorder(vit)
    plain.states = []
    plain(images(), TARGETS)
    if not count:
        with pytest.raises(UsageError, match='one of the 0 prompts of lay'):
            layer_attention(vit, images(), layer, 0)
        assert layer_attention(vit, images(), layer).prompts.shape[-1] == 0
        return
    states = plain.states[layer]
    expected = softmax_of(states, count, 1, states[0].shape[1], 4)
    assert_equal(vit, images(), layer - 3, expected)


@pytest.mark.parametrize(
    'name',
    ['vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3_qkvb'],
)
def test_maps_of_timm_models(name):
    vit = timm_models.build(name, out_type='featmap')
    inputs, plain, recorded = timm_models.images(vit), TimmPass(vit), {}
    tokens = plain.tokens
    plain.tokens = lambda i, states, *args: (
        recorded.update({i: states}) or tokens(i, states, *args)
    )
    plain(inputs, TARGETS)
    states, first = recorded[1], vit.num_extra_tokens
    heads, size = vit.layers[1].attn.num_heads, recorded[1][0].shape[1]
    assert first > 1  # registers
    expected = softmax_of(states, vit.prompts.counts[1], first, size, heads)
    assert_equal(vit, inputs, 1, expected)


def test_images_of_other_sizes_have_other_grids():
    vit = build(out_type='featmap')
    found = layer_attention(vit, images(size=(24, 48)), 1)
    assert found.patches.shape == (2, 4, 3, 6)


def test_weights_of_all_keys_sum_to_one():
    """[CLS] has the rest of 1."""
    vit = build()
    found = layer_attention(vit, images(), 1, 3)
    rest = 1 - found.patches.sum((2, 3)) - found.prompts.sum(2)
    assert (rest > 0).all()
    same = layer_attention(vit, images(), 1, torch.tensor([3, 3]))
    assert torch.equal(found.patches, same.patches)
    assert not found.patches.requires_grad


@pytest.mark.parametrize(
    'layer, prompt, message',
    [
        (3, None, 'out of the 3 that are run .* but got 3'),
        (-4, None, 'but got -4'),
        (0, 4, 'one of the 4 prompts of layer 0, counted from 0, but got 4'),
        (0, -1, 'but got -1'),
    ],
)
def test_bad_layers_and_prompts_are_rejected(layer, prompt, message):
    with pytest.raises(UsageError, match=message):
        layer_attention(build(), images(), layer, prompt)


def test_figure_has_a_column_per_map():
    pictures = [np.zeros((8, 8, 3), np.uint8), np.ones((6, 4, 3), np.uint8)]
    maps = {
        'VPT': [np.full((2, 2), 0.1), np.full((2, 2), 0.2)],
        'DA-VPT $x$': [np.eye(2), np.eye(2)],
    }
    figure = attention_figure(pictures, maps, ['<script>', 'b'])
    figure.canvas.draw()
    axes = figure.axes
    assert [ax.get_title() for ax in axes[:3]] == ['', 'VPT', 'DA-VPT $x$']
    assert [axes[i].get_xlabel() for i in (0, 1, 4, 2)] == [
        '<script>',
        'sum 0.40',
        'sum 0.80',
        'sum 2.00',
    ]
    assert (axes[3].images[0].get_array() == 1).all()
    drawn = axes[5].images[1]
    assert np.array_equal(drawn.get_array(), np.eye(2))
    assert drawn.get_extent() == axes[5].images[0].get_extent()
    assert drawn.get_clim() == (0, 1)


def test_columns_need_a_map_for_each_image():
    pictures = [np.zeros((2, 2, 3), np.uint8)]
    with pytest.raises(ValueError, match='zip'):
        attention_figure(pictures, {'x': []}, [''])
    with pytest.raises(ValueError, match='zip'):
        attention_figure(pictures, {}, [])
