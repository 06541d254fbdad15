"""Pre-trained weights are loaded wholly, or refused with a sentence."""

import pytest
import torch
from mmpretrain.models import VisionTransformer

from .test_davpt_vit import ARCH, build, images


def parent(**kwargs):
    torch.manual_seed(3)
    vit = VisionTransformer(
        **{**dict(arch=ARCH, img_size=32, patch_size=8), **kwargs}
    )
    vit.init_weights()
    return vit


def save(path, vit, prefix='', **extra):
    state = {prefix + k: v for k, v in vit.state_dict().items()}
    torch.save(dict(state_dict={**state, **extra}), path)
    return str(path)


@pytest.mark.parametrize(
    'prefix, given',
    [
        ('', None),
        ('backbone.', None),
        ('backbone.', 'backbone'),
        ('net.', 'net.'),
    ],
)
def test_loads_every_weight(tmp_path, prefix, given):
    vit = parent()
    path = save(
        tmp_path / 'vit.pth', vit, prefix, **{'head.bias': torch.zeros(3)}
    )
    init_cfg = dict(type='Pretrained', checkpoint=path)
    if given is not None:
        init_cfg['prefix'] = given
    ours = build(torch.float32, perturb=False, init_cfg=init_cfg)
    prompts = ours.prompts['0'].clone()
    ours.init_weights()
    x = images(dtype=torch.float32)
    vit.eval(), ours.eval()
    torch.testing.assert_close(ours.class_tokens(x), vit(x)[0])
    assert torch.equal(ours.prompts['0'], prompts)


def test_position_embedding_is_resized(tmp_path):
    path = save(tmp_path / 'vit.pth', parent())
    ours = build(
        torch.float32,
        img_size=64,
        init_cfg=dict(type='Pretrained', checkpoint=path),
    )
    ours.init_weights()
    vit = parent()
    vit.eval()
    x = images(size=(64, 64), dtype=torch.float32)
    torch.testing.assert_close(ours.eval().class_tokens(x), vit(x)[0])


def test_prompts_in_the_checkpoint_are_loaded(tmp_path):
    tuned = build(torch.float32, bias=('v',))
    path = save(tmp_path / 'vit.pth', tuned)
    ours = build(
        torch.float32,
        perturb=False,
        bias=('v',),
        init_cfg=dict(type='Pretrained', checkpoint=path),
    )
    ours.init_weights()
    for name, value in tuned.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.parametrize('prefix, given', [('', 'backbone.'), ('x.', None)])
def test_missing_keys_are_refused(tmp_path, prefix, given):
    path = save(tmp_path / 'vit.pth', parent(), prefix)
    ours = build(
        init_cfg=dict(type='Pretrained', checkpoint=path, prefix=given)
    )
    with pytest.raises(ValueError, match='weights of DAVPT.* are missing'):
        ours.init_weights()


def test_wrong_shapes_are_refused(tmp_path):
    arch = dict(ARCH, embed_dims=16)
    path = save(tmp_path / 'vit.pth', parent(arch=arch))
    ours = build(init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(RuntimeError, match='size mismatch'):
        ours.init_weights()


def test_missing_file_is_named(tmp_path):
    ours = build(
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'no.pth'))
    )
    with pytest.raises(FileNotFoundError, match='no.pth; download or convert'):
        ours.init_weights()


def test_home_folder_and_list_form(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    save(tmp_path / 'vit.pth', parent())
    init_cfg = dict(type='Pretrained', checkpoint='~/vit.pth')
    ours = build(torch.float32, init_cfg=[init_cfg])
    ours.init_weights()
    assert torch.equal(ours.pos_embed, parent().pos_embed)
    with pytest.raises(ValueError, match='should stand alone'):
        build(init_cfg=[dict(type='Kaiming', layer='Conv2d'), init_cfg])
