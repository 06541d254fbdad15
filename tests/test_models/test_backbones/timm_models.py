"""Tiny twins of timm's models, and a plain pass with prompts."""

import contextlib

import torch
from timm.models.eva import Eva

from mmdavpt.models import DAVPTTimmViT

#: Named models, each with another combination of parts.
NAMES = """
vit_tiny_patch16_224 vit_base_patch16_clip_224 vit_base_patch16_gap_224
vit_base_patch16_clip_quickgelu_224 deit3_small_patch16_224 flexivit_small
vit_small_patch14_dinov2 vit_small_patch14_reg4_dinov2
vit_giant_patch14_dinov2 beit3_base_patch16_224
vit_base_patch16_siglip_224 vit_so400m_patch14_siglip_224
vit_wee_patch16_reg1_gap_256 vit_so150m_patch16_reg4_gap_256
vit_base_patch16_siglip_gap_224 vit_so150m_patch16_reg4_map_256
vit_small_patch16_dinov3 vit_small_patch16_dinov3_qkvb
vit_small_plus_patch16_dinov3 vit_large_patch16_dinov3
eva_large_patch14_196 eva02_tiny_patch14_224 eva02_base_patch14_224
eva02_base_patch16_clip_224 vit_medium_patch16_rope_reg1_gap_256
vit_small_patch16_rope_224 vit_small_patch16_rope_mixed_224
vit_small_patch16_rope_ape_224 vit_small_patch16_rope_mixed_ape_224
vit_pe_core_tiny_patch16_384 vit_pe_spatial_tiny_patch16_512
""".split()
#: Parts that no named model has, in one that is else like others.
OPTIONS = {'vit_wee_patch16_reg1_gap_256': dict(qk_norm=True)}


def build(name, dtype=torch.float64, perturb=True, **kwargs):
    """Return a tiny model whose weights are far from their initial ones."""
    torch.manual_seed(0)
    patch = int(name.partition('patch')[2].partition('_')[0] or 16)
    tiny = dict(embed_dim=32, num_heads=2, depth=3, img_size=4 * patch)
    tiny.update(num_prompts=4, **OPTIONS.get(name, {}))
    vit = DAVPTTimmViT(name, **{**tiny, **kwargs}).to(dtype)
    if perturb:
        with torch.no_grad():
            for parameter in vit.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return vit


def images(vit, rows=4, columns=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    height, width = vit.patch_size
    shape = 2, 3, rows * height, columns * width
    return torch.randn(shape, generator=generator, dtype=dtype)


@contextlib.contextmanager
def more_prefix_tokens(block, count):
    """Let timm's attention leave further tokens unrotated."""
    before = getattr(block.attn, 'num_prefix_tokens', None)
    block.attn.num_prefix_tokens = (before or 0) + count
    yield
    if before is not None:
        block.attn.num_prefix_tokens = before


def concatenated_form(vit, x):
    """Run timm's own layers on [CLS], registers, prompts and patches.

    Returns:
        list[Tensor]: The outputs of all layers without those of prompts.
    """
    timm_vit = vit.vit
    x = timm_vit._pos_embed(timm_vit.patch_embed(x))
    x, rope = x if isinstance(timm_vit, Eva) else (x, None)
    x = timm_vit.norm_pre(x)
    outs, first = [], timm_vit.num_prefix_tokens
    for i, block in enumerate(timm_vit.blocks):
        prompts = vit.prompts[str(i)].expand(len(x), -1, -1)
        count = prompts.shape[1]
        tokens = torch.cat([x[:, :first], prompts, x[:, first:]], 1)
        with more_prefix_tokens(block, count):
            if rope is None:
                tokens = block(tokens)
            else:
                mixed = timm_vit.rope_mixed
                tokens = block(tokens, rope=rope[i] if mixed else rope)
        x = torch.cat([tokens[:, :first], tokens[:, first + count :]], 1)
        outs.append(x)
    outs[-1] = timm_vit.norm(x)
    return outs
