"""Tokens that the backbone returns to guidance."""

import pytest
import torch
from mmpretrain.models import VisionTransformer

from mmdavpt.models.backbones import TOKEN_NAMES, TokenRequest

from ..test_tuners.reference import PlainPass
from .test_davpt_vit import ARCH, build, images


@pytest.mark.parametrize('propagate', [True, 'sum', 'gate'])
def test_guided_tokens_with_connected_prompts(propagate):
    """Patches exclude prompts, and prompts are the layer's own."""
    vit = build(propagate=propagate, out_type='featmap')
    request = TokenRequest((2,), frozenset(TOKEN_NAMES), torch.tensor([1, 3]))
    tokens = vit.forward_with_tokens(images(), request)[1].guided[2]
    assert tokens['patch_raw'].shape == (2, 16, 32)
    assert torch.equal(tokens['prompt_raw'], vit.prompts['2'])
    out, _ = vit.forward_with_tokens(images(), request)
    torch.testing.assert_close(out[0], vit(images())[0])


@pytest.mark.parametrize('layer', [0, 1, 2])
@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
def test_guided_tokens_equal_a_plain_pass(layer, out_type):
    vit = build(out_type=out_type)
    targets = torch.tensor([2, 0])
    request = TokenRequest((layer,), TOKEN_NAMES, targets)
    plain = vit(images())
    outs, tokens = vit.forward_with_tokens(images(), request)
    torch.testing.assert_close(outs, plain, rtol=0, atol=1e-12)
    assert set(tokens.guided) == {layer}
    expected = PlainPass(vit)(images(), targets)[1][layer]
    assert set(expected) == TOKEN_NAMES
    for name, value in expected.items():
        torch.testing.assert_close(
            tokens.guided[layer][name], value, rtol=0, atol=1e-10, msg=name
        )


def test_only_requested_tokens_are_returned():
    vit = build()
    request = TokenRequest((1,), frozenset(['cls_query']))
    _, tokens = vit.forward_with_tokens(images(), request)
    assert set(tokens.guided[1]) == {'cls_query'}
    assert vit.forward_with_tokens(images())[1].guided == {}


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
def test_unprompted_tokens_are_those_of_the_parent(out_type):
    vit = build(bias=('v',), out_type=out_type)
    parent = VisionTransformer(
        arch=ARCH, img_size=32, patch_size=8, out_type='raw'
    ).double()
    parent.load_state_dict(vit.state_dict(), strict=False)
    tokens = vit.unprompted_tokens(images()).cls
    torch.testing.assert_close(tokens, parent(images())[0][:, 0])
    assert (tokens - vit.forward_with_tokens(images())[1].cls).abs().max() > 1


def test_pooling_prompts_changes_no_guided_token():
    names = frozenset(TOKEN_NAMES)
    request = TokenRequest((2,), names, torch.tensor([1, 3]))
    tokens = {}
    for pool_prompts in (False, True):
        vit = build(out_type='avg_featmap', pool_prompts=pool_prompts)
        tokens[pool_prompts] = vit.forward_with_tokens(images(), request)[1]
    for name in names:
        torch.testing.assert_close(
            tokens[True].guided[2][name],
            tokens[False].guided[2][name],
            rtol=0,
            atol=1e-10,
        )
