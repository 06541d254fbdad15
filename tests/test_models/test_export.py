"""What is folded computes the same."""

import pytest
import torch

from mmdavpt.models.export import fold_bias_delta
from tools.model_converters.publish import main as publish

from .test_backbones.test_davpt_vit import build, images


@pytest.mark.parametrize(
    'bias', [('v',), ('k', 'v'), ('q', 'k', 'v'), ('k',), ()]
)
@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(out_type='featmap', out_indices=[0, 1]),
        dict(propagate='sum'),
        dict(layer_scale_init_value=0.5),
    ],
)
def test_outputs_are_equal(bias, options):
    tuned = build(bias=bias, **options)
    folded = build(perturb=False, **options)
    state = {f'backbone.{k}': v for k, v in tuned.state_dict().items()}
    before = {k: v.clone() for k, v in state.items()}
    out = fold_bias_delta(dict(state, other=torch.ones(1)))
    assert all(torch.equal(before[k], v) for k, v in state.items())
    assert torch.equal(out.pop('other'), torch.ones(1))
    folded.load_state_dict(
        {k.removeprefix('backbone.'): v for k, v in out.items()}
    )
    for ours, theirs in zip(folded(images()), tuned(images()), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    if bias and bias != ('k',):
        plain = build(perturb=False, **options)
        plain.load_state_dict(tuned.state_dict(), strict=False)
        assert (plain(images())[0] - tuned(images())[0]).abs().max() > 1e-3


def test_types_are_kept():
    state = build(torch.float32, bias=('q', 'v')).state_dict()
    for name, value in fold_bias_delta(state, prefix='').items():
        assert value.dtype == torch.float32
        assert value.shape == state[name].shape


def test_published_checkpoint_is_folded(tmp_path):
    state = build(torch.float32, bias=('k', 'v')).state_dict()
    state = {f'backbone.{k}': v for k, v in state.items()}
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'a.pth')
    publish([str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth'), '--fold-bias'])
    published = torch.load(tmp_path / 'b.pth')['state_dict']
    expected = fold_bias_delta(state)
    assert published.keys() == expected.keys() < state.keys()
    for name, value in published.items():
        assert torch.equal(value, expected[name].half()), name


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
