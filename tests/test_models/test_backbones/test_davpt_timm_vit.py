"""Prompted models of timm against timm, and against the plain form."""

import pytest
import timm
import torch

from .test_davpt_vit import gradients
from .timm_models import NAMES, build, concatenated_form, images


@pytest.mark.parametrize('name', NAMES)
def test_without_prompts_it_is_timm_bit_for_bit(name):
    vit = build(
        name,
        torch.float32,
        num_prompts=0,
        out_type='raw',
        out_indices=[0, 2],
    ).eval()
    size = vit.vit.patch_embed.img_size[0]
    plain = timm.create_model(
        name, embed_dim=32, num_heads=2, depth=3, img_size=size
    ).eval()
    state = vit.vit.state_dict()
    head = {k: v for k, v in plain.state_dict().items() if k[:5] == 'head.'}
    plain.load_state_dict({**state, **head})
    x = images(vit, dtype=torch.float32)
    with torch.no_grad():
        first, last = vit(x)
        assert torch.equal(last, plain.forward_features(x))
        prefix, patches = vit.num_extra_tokens, first.shape[1]
        expected = plain.forward_intermediates(
            x, [0], output_fmt='NLC', intermediates_only=True
        )[0]
        assert torch.equal(first[:, prefix:patches], expected)
        vit.out_type = 'pooled'
        pooled = plain.forward_head(plain.forward_features(x), True)
        assert torch.equal(vit(x)[1], pooled)


@pytest.mark.parametrize('name', NAMES)
def test_prefix_equals_concatenated_form(name):
    vit = build(name, out_type='raw', out_indices=[0, 1, 2]).train()
    for size in (4, 6):  # another size than the position embeddings'
        runs = []
        for run in (vit, lambda x: concatenated_form(vit, x)):
            outs = run(images(vit, size))
            runs.append(([*outs], gradients(outs, vit)))
        (ours, grads), (expected, expected_grads) = runs
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)
        for key, grad in expected_grads.items():
            torch.testing.assert_close(
                grads[key], grad, rtol=1e-10, atol=1e-10, msg=key
            )
            assert grad.abs().max() > 1e-6
        with torch.no_grad():
            vit.eval()
            for _ in range(2):  # the second with kept prompts
                torch.testing.assert_close(
                    [*vit(images(vit, size))], expected, rtol=0, atol=1e-10
                )
            vit.train()
