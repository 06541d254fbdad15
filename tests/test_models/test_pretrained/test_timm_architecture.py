"""Weights must come from a model that computes the same as the backbone."""

import json

import pytest
import timm
from safetensors.torch import save_file

from mmdavpt.errors import UsageError
from mmdavpt.models.pretrained.load import QUICK_GELU

from . import foreign
from .test_families import assert_same_features, images, load_here
from .test_load import logged


def save(folder, architecture, **model_args):
    """Save plain weights next to a config.json, as on the Hub."""
    vit = foreign.timm_vit()
    save_file(vit.state_dict(), folder / 'model.safetensors')
    config = dict(architecture=architecture, model_args=model_args)
    (folder / 'config.json').write_text(json.dumps(config))
    return folder / 'model.safetensors', vit.forward_features


@pytest.mark.parametrize(
    'architecture, expected',
    [
        ('vit_base_patch16_rope_ape_224', 'the class Eva'),
        ('vit_pe_core_base_patch16_224', 'the class Eva'),
        ('vit_medium_patch16_gap_240', '8 heads, but the backbone has 4'),
        ('vit_base_resnet26d_224', 'HybridEmbed, not PatchEmbed'),
        ('vit_base_patch16_rpn_224', 'ResPostBlock, not Block'),
    ],
)
def test_reject_other_architectures(tmp_path, architecture, expected):
    path, _ = save(tmp_path, architecture)
    with pytest.raises(UsageError) as error:
        load_here(path, foreign.HERE)
    assert str(error.value).startswith(f'{path}: the weights belong to a')
    assert expected in str(error.value)


@pytest.mark.parametrize(
    'activation, expected',
    [
        ('quick_gelu', f'the activation QuickGELU; set {QUICK_GELU} of'),
        ('gelu_tanh', 'the activation GELUTanh; choose weights of'),
    ],
)
def test_reject_other_activations(tmp_path, activation, expected):
    name = 'vit_base_patch16_224'
    path, _ = save(tmp_path, name, num_heads=4, act_layer=activation)
    with pytest.raises(UsageError) as error:
        load_here(path, foreign.HERE)
    assert expected in str(error.value)


def test_accept_quick_gelu_if_the_backbone_has_it(tmp_path):
    architecture = 'vit_base_patch16_clip_quickgelu_224'
    path, _ = save(tmp_path, architecture, num_heads=4)
    quick = dict(act_cfg=dict(type='mmpretrain.QuickGELU'))
    with logged('WARNING') as lines:
        load_here(path, dict(foreign.HERE, layer_cfgs=quick))
    assert 'trained with layer norms of eps 1e-05' in ''.join(lines)


@pytest.mark.parametrize('name', ['vit_base_patch16_224', 'unknown', None])
def test_accept_plain_and_unknown_architectures(tmp_path, name):
    path, reference = save(tmp_path, name, num_heads=4)
    assert_same_features(load_here(path, foreign.HERE), reference, images())


def test_reject_other_architectures_of_the_registry(monkeypatch):
    original = timm.create_model

    def create_model(name, pretrained):
        return original(name, pretrained=False)

    monkeypatch.setattr(timm, 'create_model', create_model)
    name = 'vit_small_patch16_rope_ape_224'
    with pytest.raises(UsageError, match=f'timm://{name}: .* the class Eva'):
        load_here(f'timm://{name}', foreign.HERE)
