"""Names of ViT weights in other libraries, mapped to mmpretrain's names."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from mmdavpt.models.trainable import ADDED

#: Weights of a file by their names.
Weights = Mapping[str, Tensor]


class Normalization(NamedTuple):
    """Image normalization that the weights were trained with.

    Attributes:
        mean (tuple[float, ...]): Mean of each channel, RGB, from 0 to 255.
        std (tuple[float, ...]): Standard deviation of each channel.
        source (str): Who declares it.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str

    def __str__(self) -> str:
        mean, std = (', '.join(f'{x:.6g}' for x in v) for v in self[:2])
        return f'mean [{mean}] and std [{std}] (declared by {self.source})'


def normalization_of(declared: Mapping, source: str) -> Normalization | None:
    """Return timm's mean and std, scaled to 255.

    Args:
        declared (Mapping): timm's ``pretrained_cfg``.
        source (str): What declares it.

    Returns:
        Normalization | None: None if it has none of three channels.
    """
    try:
        mean, std = (
            tuple(255 * float(value) for value in declared[key])
            for key in ('mean', 'std')
        )
    except (KeyError, TypeError, ValueError):  # another program's values
        return None
    return Normalization(mean, std, source) if len(mean) == 3 else None


IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
HALF = ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
CLIP = (
    (122.7709383, 116.7460125, 104.09373615),
    (68.5005327, 66.6321579, 70.32316305),
)


class Family(NamedTuple):
    """Names that a library gives the weights of a Vision Transformer.

    Attributes:
        name (str): Name of the library in messages.
        marker (str): Pattern of a key that no other family has; the text
            before it is the prefix of the backbone.
        names (Mapping[str, str]): mmpretrain's name of each module or
            parameter; ``*`` stands for the number of the layer.
        backbone (str): Pattern of the first part of the backbone's keys. A
            key that matches and has no name is an error: without that weight
            the backbone would compute something else.
        kept (str): Pattern of the first part of keys that keep their names.
            Defaults to '$^': none.
        norm_eps (float, optional): Epsilon of the layer norms. Defaults to
            None: unknown.
        activation (str, optional): Activation, if it is not GELU. Defaults to
            None.
        normalization (Normalization, optional): That of the images. Defaults
            to None: unknown.
    """

    name: str
    marker: str
    names: Mapping[str, str]
    backbone: str
    kept: str = '$^'
    norm_eps: float | None = None
    activation: str | None = None
    normalization: Normalization | None = None


def read_rows(file: str) -> list[dict[str, str]]:
    """Return the rows of a table of names, by its titles.

    Args:
        file (str): A CSV file in this folder.
    """
    text = Path(__file__).with_name(file).read_text('utf-8')
    return [*csv.DictReader(text.splitlines())]


def names_of(library: str) -> dict[str, str]:
    """Return the names of a library and mmpretrain's, from ``names.csv``.

    Args:
        library (str): The library.
    """
    rows = [r for r in read_rows('names.csv') if r['library'] == library]
    return {row['name']: row['mmpretrain'] for row in rows}


TIMM = Family(
    name='timm',
    marker=r'blocks\.(?:0\.)?0\.attn\.qkv\.weight',
    names=names_of('timm'),
    backbone='cls_token|pos_embed|patch_embed|norm_pre|norm|blocks|reg_token'
    '|register_tokens|dist_token|rel_pos_bias|rope',
    norm_eps=1e-6,
)
#: timm renames these weights first, see :func:`.to_timm_names`.
OPENCLIP = TIMM._replace(
    name='CLIP',
    marker=r'transformer\.resblocks\.0\.attn\.in_proj_weight',
    norm_eps=1e-5,
    normalization=Normalization(*CLIP, 'CLIP'),
)
MMPRETRAIN = Family(
    name='mmpretrain',
    marker=r'layers\.0\.attn\.qkv\.weight',
    names={},
    backbone='dist_token|rel_pos_bias',
    kept='cls_token|pos_embed|patch_embed|pre_norm|ln1|ln2|layers|'
    + '|'.join(ADDED),
)
MMSEG = MMPRETRAIN._replace(
    name='mmseg',
    marker=r'layers\.0\.attn\.attn\.in_proj_weight',
    names=names_of('mmseg'),
)
TORCHVISION = Family(
    name='torchvision',
    marker=r'encoder\.layers\.encoder_layer_0\.self_attention\.in_proj_weight',
    names=names_of('torchvision'),
    backbone='class_token|conv_proj|encoder',
    norm_eps=1e-6,
)
FAMILIES = (TIMM, MMPRETRAIN, MMSEG, OPENCLIP, TORCHVISION)

#: Parts of a prefix that mark the ViT to use if a file holds several.
PREFERRED_TOWERS = ('base_encoder', 'teacher', 'visual')
