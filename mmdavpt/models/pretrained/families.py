"""What each family of checkpoints calls its weights, and what they are here.

The names here are those of mmpretrain's ``VisionTransformer``.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Normalization(NamedTuple):
    """How the images were normalised that the weights were made with.

    Attributes:
        mean (tuple[float, ...]): Of each channel, RGB, from 0 to 255.
        std (tuple[float, ...]): The same.
        source (str): Who declares it.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str


IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
HALF = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
CLIP = (
    (122.7709383, 116.7460125, 104.09373615),
    (68.5005327, 66.6321579, 70.32316305),
)


class Family(NamedTuple):
    """A way to name the weights of a Vision Transformer.

    Attributes:
        name (str): As messages say it.
        marker (str): Pattern of a key that no other family has; what stands
            before it is the prefix of the backbone.
        rules (Sequence[tuple[str, str]]): Pattern of a whole key, and the
            name here. The first that matches counts.
        backbone (str): Pattern of the beginnings of keys that belong to the
            backbone. One that no rule names is refused, since the backbone
            here would compute something else without it.
        norm_eps (float, optional): Of the layer norms. None if unknown.
    """

    name: str
    marker: str
    rules: Sequence[tuple[str, str]]
    backbone: str
    norm_eps: float | None = None


WEIGHT = r'\.(weight|bias)'
TIMM = Family(
    name='timm',
    marker=r'blocks\.(?:0\.)?0\.attn\.qkv\.weight',
    rules=[
        ('cls_token|pos_embed', r'\g<0>'),
        (rf'patch_embed\.proj{WEIGHT}', r'patch_embed.projection.\1'),
        (rf'norm_pre{WEIGHT}', r'pre_norm.\1'),
        (rf'norm{WEIGHT}', r'ln1.\1'),
        (rf'fc_norm{WEIGHT}', r'ln2.\1'),
        # DINOv2 numbers its blocks by chunk and layer where it has chunks.
        (r'blocks\.(?:\d+\.)?(\d+)\.norm([12])\.(.*)', r'layers.\1.ln\2.\3'),
        (
            rf'blocks\.(?:\d+\.)?(\d+)\.attn\.(qkv|proj){WEIGHT}',
            r'layers.\1.attn.\2.\3',
        ),
        (
            rf'blocks\.(?:\d+\.)?(\d+)\.mlp\.fc1{WEIGHT}',
            r'layers.\1.ffn.layers.0.0.\2',
        ),
        (
            rf'blocks\.(?:\d+\.)?(\d+)\.mlp\.fc2{WEIGHT}',
            r'layers.\1.ffn.layers.1.\2',
        ),
        (
            rf'blocks\.(?:\d+\.)?(\d+)\.mlp\.(w12|w3){WEIGHT}',
            r'layers.\1.ffn.\2.\3',
        ),
        (
            r'blocks\.(?:\d+\.)?(\d+)\.(?:ls1\.gamma|gamma_1)',
            r'layers.\1.attn.gamma1.weight',
        ),
        (
            r'blocks\.(?:\d+\.)?(\d+)\.(?:ls2\.gamma|gamma_2)',
            r'layers.\1.ffn.gamma2.weight',
        ),
    ],
    backbone=r'cls_token|pos_embed|patch_embed\.|norm_pre\.|norm\.|blocks\.'
    r'|reg_token|register_tokens|dist_token|rel_pos_bias|rope',
    norm_eps=1e-6,
)
OWN_RULES = [
    (
        r'cls_token|pos_embed'
        r'|(patch_embed|pre_norm|ln[12]|layers|prompts|bias_delta)\..*'
        r'|gate_logits',
        r'\g<0>',
    ),
]
OWN_BACKBONE = (
    r'cls_token|pos_embed|patch_embed\.|pre_norm\.|ln1\.|layers\.|prompts\.'
    r'|bias_delta\.|gate_logits|dist_token|rel_pos_bias'
)
MMPRETRAIN = Family(
    name='mmpretrain',
    marker=r'layers\.0\.attn\.qkv\.weight',
    rules=OWN_RULES,
    backbone=OWN_BACKBONE,
)
MMSEG = Family(
    name='mmseg',
    marker=r'layers\.0\.attn\.attn\.in_proj_weight',
    rules=[
        (
            r'layers\.(\d+)\.attn\.attn\.in_proj_(weight|bias)',
            r'layers.\1.attn.qkv.\2',
        ),
        (
            rf'layers\.(\d+)\.attn\.attn\.out_proj{WEIGHT}',
            r'layers.\1.attn.proj.\2',
        ),
        (rf'ln_pre{WEIGHT}', r'pre_norm.\1'),
        *OWN_RULES,
    ],
    backbone=OWN_BACKBONE,
)
CLIP_TOWER = Family(
    name='CLIP',
    marker=r'transformer\.resblocks\.0\.attn\.in_proj_weight',
    rules=[
        ('class_embedding', 'cls_token'),
        ('positional_embedding', 'pos_embed'),
        (rf'conv1{WEIGHT}', r'patch_embed.projection.\1'),
        (rf'ln_pre{WEIGHT}', r'pre_norm.\1'),
        (rf'ln_post{WEIGHT}', r'ln1.\1'),
        (
            rf'transformer\.resblocks\.(\d+)\.ln_([12]){WEIGHT}',
            r'layers.\1.ln\2.\3',
        ),
        (
            r'transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)',
            r'layers.\1.attn.qkv.\2',
        ),
        (
            rf'transformer\.resblocks\.(\d+)\.attn\.out_proj{WEIGHT}',
            r'layers.\1.attn.proj.\2',
        ),
        (
            rf'transformer\.resblocks\.(\d+)\.mlp\.c_fc{WEIGHT}',
            r'layers.\1.ffn.layers.0.0.\2',
        ),
        (
            rf'transformer\.resblocks\.(\d+)\.mlp\.c_proj{WEIGHT}',
            r'layers.\1.ffn.layers.1.\2',
        ),
        (
            r'transformer\.resblocks\.(\d+)\.ls_1\.gamma',
            r'layers.\1.attn.gamma1.weight',
        ),
        (
            r'transformer\.resblocks\.(\d+)\.ls_2\.gamma',
            r'layers.\1.ffn.gamma2.weight',
        ),
    ],
    backbone=r'class_embedding|positional_embedding|conv1\.|ln_pre\.'
    r'|transformer\.',
    norm_eps=1e-5,
)
ENCODER = r'encoder\.layers\.encoder_layer_(\d+)'
TORCHVISION = Family(
    name='torchvision',
    marker=r'encoder\.layers\.encoder_layer_0\.self_attention\.in_proj_weight',
    rules=[
        ('class_token', 'cls_token'),
        (r'encoder\.pos_embedding', 'pos_embed'),
        (rf'conv_proj{WEIGHT}', r'patch_embed.projection.\1'),
        (rf'encoder\.ln{WEIGHT}', r'ln1.\1'),
        (rf'{ENCODER}\.ln_([12]){WEIGHT}', r'layers.\1.ln\2.\3'),
        (
            rf'{ENCODER}\.self_attention\.in_proj_(weight|bias)',
            r'layers.\1.attn.qkv.\2',
        ),
        (
            rf'{ENCODER}\.self_attention\.out_proj{WEIGHT}',
            r'layers.\1.attn.proj.\2',
        ),
        # The second name of each is that of torchvision before 0.13.
        (
            rf'{ENCODER}\.mlp\.(?:0|linear_1){WEIGHT}',
            r'layers.\1.ffn.layers.0.0.\2',
        ),
        (
            rf'{ENCODER}\.mlp\.(?:3|linear_2){WEIGHT}',
            r'layers.\1.ffn.layers.1.\2',
        ),
    ],
    backbone=r'class_token|conv_proj\.|encoder\.',
    norm_eps=1e-6,
)
FAMILIES = (TIMM, MMPRETRAIN, MMSEG, CLIP_TOWER, TORCHVISION)

#: Of several ViTs in one file, the one that is meant to be used.
PREFERRED_TOWERS = ('base_encoder', 'teacher', 'visual')
