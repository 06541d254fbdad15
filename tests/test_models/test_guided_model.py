"""Weights of guided models: normalization of images, and strict loading."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from mmdavpt.errors import UsageError
from mmdavpt.registry import MODELS

from .. import toy
from .test_pretrained import foreign
from .test_pretrained.test_load import logged


def model_with_weights(tmp_path, mean, std):
    """Return a classifier that loads weights in Google's format."""
    vit = foreign.timm_vit(embed_dim=32, depth=2, mlp_ratio=1.5)
    np.savez(tmp_path / 'vit.npz', **foreign.google_arrays(vit))
    cfg = toy.classification(
        tmp_path,
        {
            'model.data_preprocessor.mean': mean,
            'model.data_preprocessor.std': std,
        },
    )['model']
    cfg['backbone']['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(tmp_path / 'vit.npz')
    )
    init_default_scope('mmpretrain')
    return MODELS.build(cfg)


@pytest.mark.parametrize(
    'mean, std, warned',
    [
        ([127.5] * 3, [127.5] * 3, False),
        ([123.675, 116.28, 103.53], [127.5] * 3, True),
        ([127.5] * 3, [58.395, 57.12, 57.375], True),
    ],
)
def test_warns_of_another_normalization(tmp_path, mean, std, warned):
    model = model_with_weights(tmp_path, mean, std)
    with logged('WARNING') as lines:
        model.init_weights()
    text = ''.join(lines)
    assert ('trained with mean [127.5, 127.5, 127.5]' in text) == warned
    assert ('(as Google declares)' in text) == warned
    assert f'mean {mean}' in text or not warned


def test_does_not_warn_if_weights_declare_nothing(tmp_path):
    model = model_with_weights(tmp_path, [0.0] * 3, [1.0] * 3)
    state, _, _ = foreign.plain(embed_dim=32, depth=2, mlp_ratio=1.5)
    torch.save(state, tmp_path / 'vit.pth')
    model.backbone.init_cfg['checkpoint'] = str(tmp_path / 'vit.pth')
    with logged('WARNING') as lines:
        model.init_weights()
    assert lines == []


def test_weights_of_the_full_model_are_rejected(tmp_path):
    """mmengine would only warn about missing keys."""
    model = model_with_weights(tmp_path, [127.5] * 3, [127.5] * 3)
    model.init_cfg = dict(type='Pretrained', checkpoint='vit.pth')
    with pytest.raises(UsageError, match='in model.backbone.init_cfg, which'):
        model.init_weights()
