"""The prefix is exact for any image size and any number of prompts."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from .concatenated import concatenated_forward
from .test_davpt_vit import build, images


@settings(max_examples=25)
@given(
    size=st.tuples(st.integers(1, 45), st.integers(1, 45)),
    batch_size=st.integers(1, 3),
    num_prompts=st.tuples(*[st.integers(0, 4)] * 3),
    with_cls_token=st.booleans(),
)
def test_prefix_is_exact_for_any_shape(
    size, batch_size, num_prompts, with_cls_token
):
    vit = build(
        num_prompts=num_prompts,
        out_type='featmap',
        out_indices=[0, 1, 2],
        with_cls_token=with_cls_token,
    ).eval()
    x = images(batch_size, size)
    with torch.no_grad():
        outs, expected = vit(x), concatenated_forward(vit, x)
    grid = tuple(-(-length // 8) for length in size)
    for out, plain in zip(outs, expected, strict=True):
        assert out.shape == (batch_size, 32, *grid)
        torch.testing.assert_close(out, plain, rtol=0, atol=1e-10)
