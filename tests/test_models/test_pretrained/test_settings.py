"""Backbone settings are read from weights."""

import json

import pytest
import torch
from safetensors.torch import save_file

from mmdavpt.errors import UsageError
from mmdavpt.models.pretrained import read_settings

from . import foreign
from .test_families import MAKERS

HEADS = dict(num_heads=4)


@pytest.mark.parametrize('maker', MAKERS.values(), ids=MAKERS)
def test_settings_are_those_that_the_weights_need(tmp_path, maker):
    state, _, here = maker()
    torch.save(state, tmp_path / 'weights.pth')
    found = read_settings(str(tmp_path / 'weights.pth'), HEADS)
    assert (
        dict(
            found.options,
            arch=found.arch,
            patch_size=found.patch_size,
            img_size=here['img_size'],
        )
        == here
    )


def test_heads_come_from_the_config_of_the_weights(tmp_path):
    kwargs = dict(embed_dim=32, depth=3, num_heads=2, mlp_ratio=2)
    vit = foreign.timm_vit(**kwargs)
    path = tmp_path / 'model.safetensors'
    save_file(vit.state_dict(), path)
    with pytest.raises(UsageError, match='how many attention heads .* 32 ch'):
        read_settings(str(path))
    config = dict(
        architecture='vit_base_patch16_224',
        model_args=dict(kwargs, img_size=32, patch_size=8),
        pretrained_cfg=dict(mean=[0.5] * 3, std=[0.2] * 3),
    )
    (tmp_path / 'config.json').write_text(json.dumps(config))
    found = read_settings(str(path), HEADS)
    assert found.arch['num_heads'] == 2
    assert found.normalization.mean == (127.5,) * 3


def test_published_sizes_state_their_heads(tmp_path):
    vit = foreign.timm_vit(embed_dim=192, num_heads=3, depth=1, mlp_ratio=4)
    torch.save(vit.state_dict(), tmp_path / 'tiny.pth')
    assert read_settings(str(tmp_path / 'tiny.pth')).arch['num_heads'] == 3


@pytest.mark.parametrize(
    'kwargs, sentence',
    [
        (dict(class_token=False, global_pool='avg'), r'has no \[CLS\]'),
        (dict(reg_tokens=2), 'unexpected reg_token'),
    ],
)
def test_weights_that_the_backbone_lacks(tmp_path, kwargs, sentence):
    vit = foreign.timm_vit(**kwargs)
    torch.save(vit.state_dict(), tmp_path / 'x.pth')
    with pytest.raises(UsageError, match=f'x.pth: .*{sentence}'):
        read_settings(str(tmp_path / 'x.pth'), HEADS)
