"""Vision Transformers of other libraries, with random weights.

Each maker returns what its publisher would save, a function that returns the
tokens that the published model computes, and what the backbone here needs to
be configured with.
"""

from argparse import Namespace
from functools import partial

import numpy as np
import timm
import torch
from torch import nn

SIZE = dict(img_size=32, patch_size=8)
ARCH = dict(embed_dims=32, num_layers=3, num_heads=4, feedforward_channels=64)
TIMM = dict(
    **SIZE, embed_dim=32, depth=3, num_heads=4, mlp_ratio=2, num_classes=5
)
HERE = dict(arch=ARCH, **SIZE)


def perturb(model):
    """Move every weight away from ones and zeros, so that no swap hides."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.05 * noise)
    model.eval()  # returns None for MMEngine models
    return model


def timm_vit(name=None, **kwargs):
    """Return timm's ViT: the published size of that name, or a tiny one."""
    if name is None:
        model = timm.models.VisionTransformer(**{**TIMM, **kwargs})
    else:
        model = timm.create_model(name, pretrained=False, **kwargs)
    return perturb(model)


def plain(name=None, **kwargs):
    vit = timm_vit(name, **kwargs)
    return vit.state_dict(), vit.forward_features, HERE


def old_timm():
    """As the jx files: a linear patch embedding, and a representation."""
    vit = timm_vit()
    state = vit.state_dict()
    state['patch_embed.proj.weight'] = state[
        'patch_embed.proj.weight'
    ].flatten(1)
    state['pre_logits.fc.weight'] = torch.zeros(32, 32)
    return state, vit.forward_features, HERE


def trained_by_timm():
    vit = timm_vit()
    state = dict(epoch=3, arch='vit', state_dict=vit.state_dict())
    state['args'] = Namespace(lr=0.1)
    return state, vit.forward_features, HERE


def wrapped():
    vit = timm_vit()
    state = {f'module.{key}': v for key, v in vit.state_dict().items()}
    return state, vit.forward_features, HERE


def mae(name=None):
    """As facebookresearch/mae saves it, decoder and mask token included."""
    vit = timm_vit(name, num_classes=0)
    decoder = {
        'mask_token': torch.zeros(1, 1, 16),
        'decoder_pos_embed': torch.zeros(1, 17, 16),
        'decoder_embed.weight': torch.zeros(16, 32),
        'decoder_blocks.0.attn.qkv.weight': torch.zeros(48, 16),
        'decoder_norm.weight': torch.zeros(16),
        'decoder_pred.weight': torch.zeros(192, 16),
    }
    return (
        dict(model={**vit.state_dict(), **decoder}),
        vit.forward_features,
        HERE,
    )


def moco_v3():
    """As facebookresearch/moco-v3 saves pre-training: two encoders."""
    vit = timm_vit()
    other = timm.models.VisionTransformer(**TIMM).state_dict()
    state = {
        **{f'module.momentum_encoder.{k}': v for k, v in other.items()},
        **{f'module.base_encoder.{k}': v for k, v in vit.state_dict().items()},
        'module.predictor.0.weight': torch.zeros(4, 4),
    }
    return dict(epoch=300, state_dict=state), vit.forward_features, HERE


def dino():
    """As facebookresearch/dino saves training: student and teacher."""
    vit = timm_vit()
    other = timm.models.VisionTransformer(**TIMM).state_dict()
    state = dict(
        student={f'module.backbone.{k}': v for k, v in other.items()},
        teacher={f'backbone.{k}': v for k, v in vit.state_dict().items()},
        args=Namespace(arch='vit_small', patch_size=8),
    )
    return state, vit.forward_features, HERE


def dinov2(name=None, chunks=False, **kwargs):
    """As facebookresearch/dinov2: layer scale, mask token, maybe chunks."""
    small = dict(init_values=1e-1) if name is None else {}
    vit = timm_vit(name, num_classes=0, **small, **kwargs)
    state = dict(vit.state_dict(), mask_token=torch.zeros(1, 32))
    if chunks:
        state = {
            key.replace('blocks.', f'blocks.{int(key.split(".")[1]) // 2}.', 1)
            if key.startswith('blocks.')
            else key: value
            for key, value in state.items()
        }
    return state, vit.forward_features, dict(HERE, layer_scale_init_value=1e-5)


def timm_clip(name=None):
    norm = partial(nn.LayerNorm, eps=1e-5)
    small = dict(pre_norm=True, norm_layer=norm) if name is None else {}
    vit = timm_vit(name, **small)
    return vit.state_dict(), vit.forward_features, CLIP_HERE


CLIP_HERE = dict(HERE, pre_norm=True, norm_cfg=dict(type='LN', eps=1e-5))


def open_clip_tower(quick_gelu=False, name=None):
    """As OpenCLIP (and OpenAI, whose names are the same) save both towers."""
    import open_clip

    if name is not None:
        model = open_clip.create_model(name, pretrained=None)
    else:
        text = dict(
            context_length=4, vocab_size=9, width=16, heads=2, layers=1
        )
        vision = dict(
            image_size=32,
            patch_size=8,
            width=32,
            head_width=8,
            layers=3,
            mlp_ratio=2,
        )
        model = open_clip.CLIP(16, vision, text, quick_gelu=quick_gelu)
    perturb(model)
    visual = model.visual

    def tokens(x):
        # OpenCLIP's own blocks and norms; its forward would pool and project.
        x = visual._embeds(x)
        return visual.ln_post(visual.transformer(x))

    here = dict(CLIP_HERE)
    state = model.state_dict()
    if quick_gelu:
        here['layer_cfgs'] = dict(act_cfg=dict(type='mmpretrain.QuickGELU'))
        state = dict(
            state,
            input_resolution=torch.tensor(32),
            context_length=torch.tensor(4),
            vocab_size=torch.tensor(9),
        )
    return state, tokens, here


def torchvision_vit():
    from torchvision.models import VisionTransformer

    vit = perturb(
        VisionTransformer(
            image_size=32,
            patch_size=8,
            num_layers=3,
            num_heads=4,
            hidden_dim=32,
            mlp_dim=64,
        )
    )

    def tokens(x):
        x = vit._process_input(x)
        cls = vit.class_token.expand(x.shape[0], -1, -1)
        return vit.encoder(torch.cat([cls, x], 1))

    return vit.state_dict(), tokens, HERE


def mmseg_vit(patch_bias=False, pre_norm=False):
    from mmseg.models import VisionTransformer

    vit = perturb(
        VisionTransformer(
            **SIZE,
            embed_dims=32,
            num_layers=3,
            num_heads=4,
            mlp_ratio=2,
            final_norm=True,
            output_cls_token=True,
            patch_bias=patch_bias,
            pre_norm=pre_norm,
            norm_cfg=dict(type='LN', eps=1e-6),
        )
    )
    state = {f'backbone.{k}': v for k, v in vit.state_dict().items()}
    state['decode_head.conv_seg.weight'] = torch.zeros(1)

    def tokens(x):
        features, cls = vit(x)[0]
        return torch.cat([cls[:, None], features.flatten(2).mT], 1)

    here = dict(HERE, pre_norm=True) if pre_norm else HERE
    return dict(state_dict=state, meta={}), tokens, here


def mmpretrain_vit():
    from mmpretrain.models import VisionTransformer

    vit = perturb(VisionTransformer(**HERE, out_type='raw'))
    state = {f'module.backbone.{k}': v for k, v in vit.state_dict().items()}
    state['module.head.layers.head.weight'] = torch.zeros(5, 32)
    return dict(state_dict=state, meta={}), lambda x: vit(x)[0], HERE


def google_arrays(vit):
    """Return timm's ViT as arrays in the layout of Google's files."""
    state = {key: v.detach().numpy() for key, v in vit.state_dict().items()}
    heads = vit.blocks[0].attn.num_heads
    channels = vit.embed_dim
    arrays = {
        'cls': state['cls_token'],
        'embedding/kernel': state['patch_embed.proj.weight'].transpose(
            2, 3, 1, 0
        ),
        'embedding/bias': state['patch_embed.proj.bias'],
        'Transformer/posembed_input/pos_embedding': state['pos_embed'],
        'Transformer/encoder_norm/scale': state['norm.weight'],
        'Transformer/encoder_norm/bias': state['norm.bias'],
        'head/kernel': state['head.weight'].T,
        'head/bias': state['head.bias'],
        'pre_logits/kernel': np.zeros((channels, channels), np.float32),
    }
    for i in range(len(vit.blocks)):
        there, here = f'Transformer/encoderblock_{i}', f'blocks.{i}'
        attention = f'{there}/MultiHeadDotProductAttention_1'
        fused = state[f'{here}.attn.qkv.weight'].reshape(3, channels, channels)
        bias = state[f'{here}.attn.qkv.bias'].reshape(3, heads, -1)
        for part, weight, offset in zip(
            ('query', 'key', 'value'), fused, bias, strict=True
        ):
            arrays[f'{attention}/{part}/kernel'] = weight.T.reshape(
                channels, heads, -1
            )
            arrays[f'{attention}/{part}/bias'] = offset
        arrays[f'{attention}/out/kernel'] = state[
            f'{here}.attn.proj.weight'
        ].T.reshape(heads, -1, channels)
        arrays[f'{attention}/out/bias'] = state[f'{here}.attn.proj.bias']
        for number, norm in ((0, 'norm1'), (2, 'norm2')):
            place = f'{there}/LayerNorm_{number}'
            arrays[f'{place}/scale'] = state[f'{here}.{norm}.weight']
            arrays[f'{place}/bias'] = state[f'{here}.{norm}.bias']
        for number in (0, 1):
            place = f'{there}/MlpBlock_3/Dense_{number}'
            arrays[f'{place}/kernel'] = state[
                f'{here}.mlp.fc{number + 1}.weight'
            ].T
            arrays[f'{place}/bias'] = state[f'{here}.mlp.fc{number + 1}.bias']
    return arrays
