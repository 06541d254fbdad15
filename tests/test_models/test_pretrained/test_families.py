"""Weights of every family give the features of the original model."""

from functools import partial

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from mmdavpt.models import DAVPTVisionTransformer
from mmdavpt.models.backbones.forward_pass import run_layers
from mmdavpt.models.pretrained import read_checkpoint, to_mmpretrain

from . import foreign

MAKERS = {
    'timm': foreign.plain,
    'timm, linear patches': foreign.old_timm,
    'timm, training': foreign.trained_by_timm,
    'timm, DataParallel': foreign.wrapped,
    'MAE': foreign.mae,
    'MoCo v3': foreign.moco_v3,
    'DINO': foreign.dino,
    'DINOv2': foreign.dinov2,
    'DINOv2, chunks': partial(foreign.dinov2, chunks=True),
    'timm CLIP': foreign.timm_clip,
    'OpenCLIP': foreign.open_clip_tower,
    'OpenAI CLIP': partial(foreign.open_clip_tower, quick_gelu=True),
    'torchvision': foreign.torchvision_vit,
    'mmseg': foreign.mmseg_vit,
    'mmseg, patch bias': partial(foreign.mmseg_vit, patch_bias=True),
    'mmseg, pre-norm': partial(foreign.mmseg_vit, pre_norm=True),
    'mmpretrain': foreign.mmpretrain_vit,
}


def images(size=32):
    return torch.randn(2, 3, size, size, generator=torch.manual_seed(2))


def load_here(path, here, **init):
    """Return all tokens of the un-prompted backbone with these weights."""
    vit = DAVPTVisionTransformer(
        **here,
        out_type='raw',
        num_prompts=2,
        init_cfg=dict(type='Pretrained', checkpoint=str(path), **init),
    )
    vit.init_weights()
    return vit.eval()


@torch.no_grad()
def tokens_of(vit, x):
    return run_layers(vit, x, prompted=False)[0][0]


def assert_same_features(vit, reference, x):
    with torch.no_grad():
        expected = reference(x)
    assert expected.std() > 0.1
    torch.testing.assert_close(tokens_of(vit, x), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('maker', MAKERS.values(), ids=MAKERS)
def test_features_equal_the_original_model(tmp_path, maker):
    state, reference, here = maker()
    torch.save(state, tmp_path / 'weights.pth')
    vit = load_here(tmp_path / 'weights.pth', here)
    assert_same_features(vit, reference, images())


@pytest.mark.parametrize('form', ['.bin', '.safetensors', 'old .pth', 'half'])
def test_read_file_formats(tmp_path, form):
    state, reference, here = foreign.plain()
    path = tmp_path / f'weights{form if form[0] == "." else ".pth"}'
    if form == '.safetensors':
        save_file(state, path)
    elif form == 'half':
        torch.save({k: v.half() for k, v in state.items()}, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=form == '.bin')
    vit = load_here(path, here)
    if form == 'half':
        assert torch.equal(vit.cls_token, state['cls_token'].half().float())
    else:
        assert_same_features(vit, reference, images())


@pytest.mark.parametrize('top', ['', 'opt/target/'])
def test_read_google_npz(tmp_path, top):
    vit = foreign.timm_vit()
    arrays = foreign.google_arrays(vit)
    path = tmp_path / 'ViT.npz'
    np.savez(path, **{top + key: value for key, value in arrays.items()})
    # timm's own reader confirms that the file has Google's layout.
    reread = timm.models.VisionTransformer(**foreign.TIMM)
    reread.load_pretrained(str(path), top)
    for name, value in vit.state_dict().items():
        assert torch.equal(reread.state_dict()[name], value), name
    ours = load_here(path, foreign.HERE)
    assert_same_features(ours, vit.forward_features, images())
    assert ours.normalization.mean == (127.5,) * 3


@pytest.mark.parametrize('size', [16, 48, (24, 40)])
@pytest.mark.parametrize('maker', ['timm', 'DINOv2', 'MAE'])
def test_resize_position_embeddings_like_timm(tmp_path, maker, size):
    state, _, here = MAKERS[maker]()
    torch.save(state, tmp_path / 'weights.pth')
    vit = load_here(tmp_path / 'weights.pth', dict(here, img_size=size))
    theirs = timm.models.VisionTransformer(
        **dict(foreign.TIMM, img_size=size),
        init_values=1e-5 if maker == 'DINOv2' else None,
    )
    theirs.load_state_dict(
        timm.models.vision_transformer.checkpoint_filter_fn(
            dict(state.get('model', state)), theirs
        ),
        strict=False,
    )
    assert torch.equal(vit.pos_embed, theirs.pos_embed)
    h, w = (size, size) if isinstance(size, int) else size
    x = torch.randn(2, 3, h, w, generator=torch.manual_seed(2))
    assert_same_features(vit, theirs.eval().forward_features, x)


def test_missing_cls_position_is_zero(tmp_path):
    vit = foreign.timm_vit(no_embed_class=True)
    torch.save(vit.state_dict(), tmp_path / 'weights.pth')
    ours = load_here(tmp_path / 'weights.pth', foreign.HERE)
    assert not ours.pos_embed[:, 0].any()
    assert_same_features(ours, vit.forward_features, images())


def test_backbone_without_cls_drops_its_position(tmp_path):
    state, _, here = foreign.plain()
    torch.save(state, tmp_path / 'weights.pth')
    vit = load_here(tmp_path / 'weights.pth', dict(here, with_cls_token=False))
    assert torch.equal(vit.pos_embed, state['pos_embed'][:, 1:])


@pytest.mark.parametrize(
    'maker, label',
    [
        ('MAE', 'timm (MAE)'),
        ('MoCo v3', 'timm (MoCo v3)'),
        ('DINOv2', 'timm (DINOv2)'),
        ('OpenAI CLIP', 'CLIP (OpenAI)'),
        ('OpenCLIP', 'CLIP'),
        ('timm', 'timm'),
    ],
)
def test_detect_training_method(tmp_path, maker, label):
    torch.save(MAKERS[maker]()[0], tmp_path / 'weights.pth')
    named = to_mmpretrain(
        read_checkpoint(str(tmp_path / 'weights.pth')).weights
    )
    assert named.family.name == label
    assert (named.family.normalization is None) == (label == 'timm')


@pytest.mark.slow
@pytest.mark.parametrize(
    'maker, here, size',
    [
        (partial(foreign.plain, 'vit_base_patch16_224'), dict(arch='b'), 224),
        (
            partial(foreign.plain, 'vit_large_patch16_384'),
            dict(arch='l', img_size=384),
            384,
        ),
        (partial(foreign.mae, 'vit_base_patch16_224'), dict(arch='b'), 224),
        (
            partial(foreign.dinov2, 'vit_base_patch14_dinov2'),
            dict(
                arch='b',
                img_size=518,
                patch_size=14,
                layer_scale_init_value=1e-5,
            ),
            518,
        ),
        (
            partial(foreign.timm_clip, 'vit_base_patch16_clip_224'),
            dict(
                arch='b',
                pre_norm=True,
                norm_cfg=dict(type='LN', eps=1e-5),
            ),
            224,
        ),
        (
            partial(foreign.open_clip_tower, name='ViT-B-16'),
            dict(
                arch='b',
                pre_norm=True,
                norm_cfg=dict(type='LN', eps=1e-5),
            ),
            224,
        ),
    ],
    ids=[
        'ViT-B/16',
        'ViT-L/16 at 384',
        'MAE ViT-B/16',
        'DINOv2 ViT-B/14 at 518',
        'timm CLIP ViT-B/16',
        'OpenCLIP ViT-B/16',
    ],
)
def test_features_of_published_sizes(tmp_path, maker, here, size):
    state, reference, _ = maker()
    torch.save(state, tmp_path / 'weights.pth')
    del state
    vit = load_here(tmp_path / 'weights.pth', here)
    assert_same_features(vit, reference, images(size)[:1])


@pytest.mark.slow
def test_features_of_published_google_size(tmp_path):
    vit = foreign.timm_vit('vit_base_patch16_224')
    np.savez(tmp_path / 'ViT-B_16.npz', **foreign.google_arrays(vit))
    ours = load_here(tmp_path / 'ViT-B_16.npz', dict(arch='b'))
    assert_same_features(ours, vit.forward_features, images(224)[:1])
