"""Weights of Hugging Face transformers give its tokens in timm's models.

The files are made by ``tests/data/transformers/make.py``.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmdavpt.errors import UsageError
from mmdavpt.models import DAVPTTimmViT

FILES = Path(__file__).parents[2] / 'data/transformers'
TINY = dict(
    embed_dim=16, depth=2, num_heads=2, img_size=16, patch_size=4, mlp_ratio=2
)
#: Kind of transformers to timm's model and its options.
KINDS = {
    'ViT': ('vit_base_patch16_224', {}),
    'Dinov2': ('vit_small_patch14_dinov2', {}),
    'Dinov2-SwiGLU': ('vit_giant_patch14_dinov2', dict(mlp_ratio=3)),
    'Dinov2WithRegisters': ('vit_small_patch14_reg4_dinov2', {}),
    'DINOv3ViT': ('vit_small_patch16_dinov3', {}),
    'DINOv3ViT-Bias': ('vit_small_patch16_dinov3_qkvb', {}),
    'DINOv3ViT-Plus': (
        'vit_small_plus_patch16_dinov3_qkvb',
        dict(swiglu_align_to=1),
    ),
    'CLIPVision': ('vit_base_patch16_clip_quickgelu_224', {}),
    'SiglipVision': ('vit_base_patch16_siglip_224', {}),
}


def load(kind, path):
    name, options = KINDS[kind]
    vit = DAVPTTimmViT(
        name,
        num_prompts=0,
        out_type='raw',
        init_cfg=dict(type='Pretrained', checkpoint=str(path)),
        **{**TINY, **options},
    ).eval()
    vit.init_weights()
    return vit


def weights_of(file, names):
    prefix = f'{names}.'
    return {
        key.removeprefix(prefix): value
        for key, value in file.items()
        if key.startswith(prefix)
    }


@pytest.mark.parametrize('names', ['published', 'now'])
@pytest.mark.parametrize('kind', KINDS)
def test_tokens_are_those_of_transformers(kind, names, tmp_path):
    file = load_file(FILES / f'{kind}.safetensors')
    path = tmp_path / 'weights.safetensors'
    save_file(weights_of(file, names), path)
    vit = load(kind, path)
    with torch.no_grad():
        tokens = vit(file['images'])[0]
    if kind == 'CLIPVision':  # its norm is for [CLS] alone
        expected = {'pooled': tokens[:, 0]}
    elif kind == 'SiglipVision':
        expected = {'tokens': tokens, 'pooled': vit.pool(tokens)}
    else:
        expected = {'tokens': tokens}
    for key, value in expected.items():
        torch.testing.assert_close(value, file[key], rtol=0, atol=2e-5)


def test_models_inside_others_are_found(tmp_path):
    file = load_file(FILES / 'CLIPVision.safetensors')
    state = weights_of(file, 'now')
    both = {f'vision_model.{key}': value for key, value in state.items()}
    both['text_model.embeddings.token_embedding.weight'] = torch.zeros(3, 2)
    both['logit_scale'] = torch.zeros(())
    save_file(both, tmp_path / 'weights.safetensors')
    vit = load('CLIPVision', tmp_path / 'weights.safetensors')
    with torch.no_grad():
        cls = vit(file['images'])[0][:, 0]
    torch.testing.assert_close(cls, file['pooled'], rtol=0, atol=2e-5)


def test_missing_and_unexpected_weights_are_an_error(tmp_path):
    file = load_file(FILES / 'Dinov2.safetensors')
    state, path = weights_of(file, 'now'), tmp_path / 'weights.safetensors'
    bias = state.pop('encoder.layer.1.mlp.fc2.bias')
    save_file(state, path)
    with pytest.raises(UsageError, match='missing .*blocks.1.mlp.fc2.bias'):
        load('Dinov2', path)
    state.update({'encoder.layer.1.mlp.fc2.bias': bias, 'more': bias.clone()})
    save_file(state, path)
    with pytest.raises(UsageError, match='unexpected .*more'):
        load('Dinov2', path)
