"""Which parameters train and which modules run in train mode."""

import pytest
import torch

from .test_davpt_vit import build, gradients, images


def test_frozen_modules_stay_in_eval_mode():
    vit = build(drop_rate=0.3, drop_path_rate=0.3, perturb=False)
    assert vit.train() is vit and vit.training
    trainable = [n for n, p in vit.named_parameters() if p.requires_grad]
    assert trainable == [f'prompts.{i}' for i in range(3)]
    modes = {n: m.training for n, m in vit.named_modules() if n}
    assert [n for n, mode in modes.items() if mode] == [
        'layers',
        'prompts',
        'prompt_cache',
        'tuners',
    ]
    x = images()
    assert torch.equal(vit(x)[0], vit(x)[0])  # no dropout acts
    assert vit.eval() is vit and not vit.prompts.training


def test_modules_that_train_are_in_train_mode():
    vit = build(trainable=['layers.1.ffn.*'], drop_rate=0.3).train()
    assert vit.layers[1].ffn.training and not vit.layers[0].training
    assert not vit.drop_after_pos.training
    full = build(trainable=['*']).train()
    assert all(m.training for m in full.modules())
    assert all(p.requires_grad for p in full.parameters())


def test_layers_above_the_last_output_are_not_run():
    vit = build(out_indices=[1], out_type='featmap')
    assert sorted(vit.prompts) == ['0', '1']
    grads = gradients(vit(images()), vit)
    assert all(grad is not None for grad in grads.values())
    full = build(out_indices=[1], out_type='featmap', trainable=['*'])
    grads = gradients(full(images()), full)
    assert 'layers.1.ffn.layers.1.bias' in grads and 'cls_token' in grads
    assert not [n for n in grads if n.startswith(('layers.2', 'ln1'))]
    assert all(grad is not None for grad in grads.values())
    assert vit.get_layer_depth('backbone.prompts.1', 'backbone.') == (2, 5)
    assert vit.get_layer_depth('layers.1.ln1.weight') == (2, 5)


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap', 'avg_featmap'])
@pytest.mark.parametrize('out_indices', [[2], [0, 1]])
@pytest.mark.parametrize(
    'kwargs',
    [
        dict(bias=('q', 'k', 'v'), final_norm=False),
        dict(num_prompts=(2, 0, 0), propagate=True),
        dict(num_prompts=(0, 2, 0)),
        dict(propagate='sum', bias=('k', 'v')),
        dict(propagate='gate'),
        dict(num_prompts=0),
    ],
)
def test_every_trainable_parameter_has_a_gradient(
    kwargs, out_indices, out_type
):
    """Distributed training refuses parameters without one."""
    counts = kwargs.get('num_prompts')
    if isinstance(counts, tuple):
        kwargs = dict(kwargs, num_prompts=counts[: max(out_indices) + 1])
    vit = build(
        out_type=out_type,
        out_indices=[*out_indices],
        trainable=['*'],
        **kwargs,
    ).train()
    grads = gradients(vit(images()), vit)
    assert [name for name, grad in grads.items() if grad is None] == []


@pytest.mark.parametrize(
    'kwargs, first',
    [
        (dict(num_prompts=(0, 0, 4)), 2),
        (dict(num_prompts=(0, 4, 0)), 1),
        (dict(num_prompts=(0, 4, 0), with_cp=True), 1),
        (dict(num_prompts=(0, 4, 0), propagate=True), 1),
        (dict(num_prompts=(0, 0, 4), trainable=['layers.1.ffn.*']), 1),
        (dict(num_prompts=(0, 0, 4), bias=('v',)), 0),
        (dict(num_prompts=(0, 0, 4), trainable=['pos_embed']), 0),
    ],
)
def test_no_graph_below_the_first_layer_that_trains(kwargs, first):
    vit, graph = build(**kwargs).train(), []
    for layer in vit.layers:
        layer.ffn.register_forward_hook(
            lambda module, args, out: graph.append(out.requires_grad)
        )
    vit(images())
    assert graph == [i >= first for i in range(3)]
