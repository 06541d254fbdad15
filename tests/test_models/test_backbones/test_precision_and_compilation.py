"""The same numbers compiled, and nearly the same in bfloat16."""

import pytest
import torch

from mmdavpt.models.backbones import TOKEN_NAMES, TokenRequest

from .concatenated import concatenated_forward
from .test_davpt_vit import build, gradients, images

REQUEST = TokenRequest((1, 2), TOKEN_NAMES, torch.tensor([0, 3]))


def outputs(forward, vit):
    outs, tokens = forward(images(), REQUEST)
    guided = [tokens.guided[i][n] for i in (1, 2) for n in sorted(TOKEN_NAMES)]
    return [*outs, *guided], gradients([*outs, *guided], vit)


@pytest.mark.parametrize(
    'backend, kwargs',
    [
        ('eager', dict(bias=('k', 'v'), tuners=[dict(type='LoRA')])),
        pytest.param(
            'aot_eager', dict(bias=('k', 'v')), marks=pytest.mark.slow
        ),
        pytest.param(
            'aot_eager',
            dict(with_cp=True, out_type='featmap'),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_whole_graph_is_compiled_with_guidance(backend, kwargs):
    """A graph break would raise: ``fullgraph``."""
    torch.compiler.reset()
    vit = build(drop_path_rate=0.1, **kwargs).train()
    plain = outputs(vit.forward_with_tokens, vit)
    compiled = outputs(
        torch.compile(
            vit.forward_with_tokens, fullgraph=True, backend=backend
        ),
        vit,
    )
    torch.testing.assert_close(compiled, plain, rtol=1e-10, atol=1e-10)


def test_compiled_evaluation_sees_new_prompts():
    torch.compiler.reset()
    vit = build().eval()
    compiled = torch.compile(vit, fullgraph=True, backend='eager')
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(compiled(images()), vit(images()))
            vit.prompts['1'].data.add_(1)


def distance(one, other):
    return ((one - other).norm() / other.norm()).item()


@pytest.mark.parametrize('out_type', ['cls_token', 'featmap'])
def test_bfloat16_is_as_close_as_the_concatenated_form(out_type):
    """Within 1 % of float32, gradients 2 %, where the plain form is too."""
    vit = build(torch.float32, out_type=out_type, bias=()).train()
    x = images(batch_size=8, dtype=torch.float32)
    exact = vit(x)
    wanted = gradients(exact, vit)
    for forward in (vit, lambda x: concatenated_forward(vit, x)):
        with torch.autocast('cpu', dtype=torch.bfloat16):
            outs = forward(x)
        grads = gradients([out.float() for out in outs], vit)
        assert distance(outs[0].float(), exact[0]) < 0.01
        for name, grad in grads.items():
            assert grad.dtype == torch.float32
            assert distance(grad, wanted[name]) < 0.02
