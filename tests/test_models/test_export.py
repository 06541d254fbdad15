"""Folded tuners give the same outputs."""

import pytest
import torch
from torch import nn

from mmdavpt.errors import UsageError
from mmdavpt.models.export import fold_tuners
from mmdavpt.models.tuners import PARTS
from tools.model_converters.publish import main as publish

from .test_backbones.test_davpt_vit import build, images
from .test_tuners.reference import Project


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
        dict(bias=('v',), tuners=[dict(type='LoRA'), dict(type='SSF')]),
        dict(tuners=[dict(type='SSF'), dict(type='LoRA')]),
        dict(
            tuners=[
                dict(
                    type='LoRA',
                    rank=2,
                    targets=('v', 'q'),
                    share_a=True,
                    alpha=3,
                )
            ]
        ),
        dict(
            bias=('q', 'v'),
            tuners=[
                dict(type='AttentionTemperature'),
                dict(type='LoRA', rank=2),
            ],
        ),
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


class Gain(Project):
    """Scale and shift everything that can be folded."""

    def __init__(self, sizes):
        super().__init__(sizes)
        self.places = nn.ParameterDict(
            {
                f'{which}{layer}': torch.zeros(2, sizes.embed_dims)
                for layer in range(sizes.num_layers)
                for which in ('norm1', 'norm2')
            }
        )
        self.places['final2'] = torch.zeros(2, sizes.embed_dims)
        self.places['embed'] = torch.zeros(2, sizes.embed_dims)

    def affine(self, place, x):
        scale, shift = self.places[place]
        return x * (1 + scale) + shift

    def embed(self, x):
        return self.affine('embed', x)

    def norm(self, layer, which, x):
        return self.affine(f'{which}{layer}', x)

    def project(self, layer, part, x, y):
        return y * (1 + self.rows[part][layer])

    def fold(self, weights):
        for part, rows in self.rows.items():
            for layer, row in enumerate(rows):
                weights.weight(layer, part).mul_(1 + row[:, None])
                weights.bias(layer, part).mul_(1 + row)
        for place, (scale, shift) in self.places.items():
            module = (
                weights.embedding()
                if place == 'embed'
                else weights.norm(int(place[-1]), place[:-1])
            )
            module.weight.transpose(0, -1).mul_(1 + scale)
            module.bias.mul_(1 + scale).add_(shift)


@pytest.mark.parametrize('order', [1, -1])
def test_order_of_folding_is_that_of_the_pass(order):
    tuners = [dict(type=Gain), dict(type='LoRA'), dict(type='Bias')][::order]
    tuned = build(tuners=tuners, bias=('v',))
    folded = build(perturb=False)
    folded.load_state_dict(fold_tuners(tuned))
    torch.testing.assert_close(
        folded(images())[0], tuned(images())[0], rtol=0, atol=1e-10
    )


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
        (dict(tuners=[dict(type='MoSA')]), 'MoSA cannot be folded'),
        (dict(bias=('v',), qkv_bias=False), 'qkv_bias=False'),
    ],
)
def test_fold_refuses_invalid_models(kwargs, message):
    with pytest.raises(UsageError, match=message):
        fold_tuners(build(**kwargs))


@pytest.mark.parametrize('content', [None, 'text', [1], dict(model={})])
def test_publish_refuses_other_files(tmp_path, content, capsys):
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
