"""What is folded computes the same."""

import pytest
import torch

from mmdavpt.errors import UsageError
from mmdavpt.models.export import fold_tuners
from mmdavpt.models.tuners import PARTS
from tools.model_converters.publish import main as publish

from .test_backbones.test_davpt_vit import build, images


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(out_type='featmap', out_indices=[0, 1]),
        dict(propagate='sum'),
        dict(layer_scale_init_value=0.5),
    ],
)
@pytest.mark.parametrize(
    'tuners',
    [
        dict(bias=('v',)),
        dict(bias=('q', 'k', 'v')),
        dict(tuners=[dict(type='Bias', parts=PARTS)]),
        dict(tuners=[dict(type='LoRA', rank=2, targets=PARTS, alpha=3)]),
        dict(
            bias=('v', 'fc1'),
            tuners=[
                dict(type='LoRA', rank=2),
                dict(type='LoRA', targets=('k', 'fc2'), name='second'),
            ],
        ),
    ],
)
def test_folded_model_computes_the_same(tuners, options):
    tuned = build(**tuners, **options)
    before = {k: v.clone() for k, v in tuned.state_dict().items()}
    state = fold_tuners(tuned)
    assert all(
        torch.equal(before[k], v) for k, v in tuned.state_dict().items()
    )
    folded = build(perturb=False, **options)
    plain = build(perturb=False, **options)
    plain.load_state_dict(tuned.state_dict(), strict=False)
    folded.load_state_dict(state)
    for ours, theirs in zip(folded(images()), tuned(images()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert (plain(images())[0] - tuned(images())[0]).abs().max() > 1e-3


def test_bias_is_folded_bit_for_bit():
    tuned = build(torch.float32, bias=('q', 'k', 'v'))
    folded = build(torch.float32)
    folded.load_state_dict(fold_tuners(tuned))
    x = images(dtype=torch.float32)
    assert torch.equal(folded(x)[0], tuned(x)[0])


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(), 'no tuners or bias shifts'),
        (dict(tuners=[dict(type='AdaptFormer')]), 'AdaptFormer cannot be fol'),
        (dict(bias=('v',), qkv_bias=False), 'qkv_bias=False'),
    ],
)
def test_what_cannot_be_folded(kwargs, message):
    with pytest.raises(UsageError, match=message):
        fold_tuners(build(**kwargs))


@pytest.mark.parametrize('content', [None, 'text', [1], dict(model={})])
def test_what_is_no_checkpoint_is_named(tmp_path, content, capsys):
    path = tmp_path / 'a.pth'
    if content == 'text':
        path.write_text('<html>')
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(SystemExit) as stop:
        publish([str(path), str(tmp_path / 'b.pth')])
    assert stop.value.code == 2
    assert str(path) in capsys.readouterr().err
    assert not (tmp_path / 'b.pth').exists()
