"""Settings of a backbone that pre-trained weights need."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from mmpretrain.models import VisionTransformer
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torch import Tensor, nn

from mmdavpt.errors import UsageError

from .families import Normalization, normalization_of
from .load import fit_to, functions_of
from .naming import NamedWeights, to_mmpretrain
from .reading import read_checkpoint

#: Of weights whose images the recommended configs normalize by a guess.
ASSUMED = (
    '{} does not state the mean and std of its images, so the config has '
    'those of {}; set `mean` and `std` if they are others'
)


class BackboneSettings(NamedTuple):
    """Arguments of a backbone for its weights.

    Attributes:
        arch (dict[str, int]): The sizes, as in a custom ``arch``.
        patch_size (int): Side of a patch in pixels.
        options (dict): Other arguments that differ from their defaults.
        normalization (Normalization, optional): That of the images, if it is
            declared.
        timm_model (str, optional): Name of a model of timm that only
            ``DAVPTTimmViT`` can run, whose other sizes ``arch`` leaves out.
    """

    arch: dict[str, int]
    patch_size: int
    options: dict[str, Any]
    normalization: Normalization | None
    timm_model: str | None = None

    def variables(self, archs: Mapping[str, dict]) -> dict[str, Any]:
        """Return the variables of a recommended config.

        Args:
            archs (Mapping[str, dict]): Names to sizes, as in the config.
        """
        names = [name for name, sizes in archs.items() if sizes == self.arch]
        settings = dict(
            arch=names[0] if names else self.arch,
            patch_size=self.patch_size,
            backbone_options=self.options,
            timm_model=self.timm_model,
        )
        for key in ('mean', 'std') if self.normalization else ():
            values = getattr(self.normalization, key)
            settings[key] = [round(value, 4) for value in values]
        return settings


def read_settings(
    checkpoint: str, arch: Mapping[str, int] | None = None
) -> BackboneSettings:
    """Read which backbone a checkpoint needs; download it if necessary.

    Args:
        checkpoint (str): See :func:`.read_checkpoint`.
        arch (Mapping[str, int], optional): Sizes that the file does not
            state, such as ``num_heads``. Defaults to None.

    Raises:
        FileNotFoundError: If the file does not exist.
        UsageError: If it cannot be read, holds no plain ViT with [CLS] and is
            no known model of timm, or does not state the number of heads.
    """
    read = read_checkpoint(checkpoint)
    model, normalization = read.model, read.normalization
    try:
        named = to_mmpretrain(read.weights)
        sizes = _sizes(named.weights, model, dict(arch or {}))
        patch = named.weights['patch_embed.projection.weight'].shape[-1]
        options = _options(named, model)
        with torch.device('meta'):  # without memory
            backbone = VisionTransformer(
                sizes, img_size=16 * patch, patch_size=patch, **options
            )
        fit_to(backbone, named, model)
        normalization = normalization or named.family.normalization
        return BackboneSettings(sizes, patch, options, normalization)
    except UsageError as error:
        if not isinstance(model, (Eva, TimmViT)):
            raise UsageError(f'{checkpoint}: {error}') from error
    name = model.pretrained_cfg['architecture']
    return timm_settings(model, name, normalization)


def timm_settings(
    model: nn.Module, name: str, normalization: Normalization | None = None
) -> BackboneSettings:
    """Return the settings of ``DAVPTTimmViT`` for a model of timm.

    Args:
        model (nn.Module): The ``VisionTransformer`` or ``Eva``.
        name (str): Its name in timm.
        normalization (Normalization, optional): That of its weights. Defaults
            to None, that of timm for this model.
    """
    sizes = dict(
        embed_dims=model.embed_dim,
        num_layers=len(model.blocks),
        num_heads=model.blocks[0].attn.num_heads,
    )
    patch = model.patch_embed.patch_size[0]
    declared = normalization_of(model.pretrained_cfg, f'timm ({name})')
    normalization = normalization or declared
    return BackboneSettings(sizes, patch, {}, normalization, name)


def _sizes(
    weights: Mapping[str, Tensor], model: nn.Module | None, given: dict
) -> dict[str, int]:
    """Return the sizes of the backbone that has these weights."""
    if 'cls_token' not in weights:
        raise UsageError('the ViT has no [CLS]; choose weights that have it')
    hidden, channels = weights['layers.0.ffn.layers.0.0.weight'].shape
    layers = {k.split('.')[1] for k in weights if k.startswith('layers.')}
    # Shapes do not tell the number of heads, but published ViTs do.
    published = {
        arch['num_heads']
        for arch in VisionTransformer.arch_zoo.values()
        if (arch['embed_dims'], arch['feedforward_channels'])
        == (channels, hidden)
    }
    heads = given.get('num_heads')
    if model is not None:
        heads = model.blocks[0].attn.num_heads
    elif heads is None and len(published) == 1:
        (heads,) = published
    if heads is None:
        raise UsageError(
            'the file does not state how many attention heads its layers of '
            f'{channels} channels have; add arch=dict(num_heads=...), on the '
            'command line --arch "dict(num_heads=...)"'
        )
    return dict(
        embed_dims=channels,
        num_layers=len(layers),
        num_heads=heads,
        feedforward_channels=hidden,
    )


def _options(named: NamedWeights, model: nn.Module | None) -> dict[str, Any]:
    """Return arguments that are not the backbone's defaults."""
    options = {}
    if 'layers.0.attn.gamma1.weight' in named.weights:
        options['layer_scale_init_value'] = 1e-5
    if 'pre_norm.weight' in named.weights:
        options['pre_norm'] = True
    eps, activation = functions_of(named, model)
    if eps not in (None, 1e-6):
        options['norm_cfg'] = dict(type='LN', eps=eps)
    if activation == 'QuickGELU':
        act_cfg = dict(type='mmpretrain.QuickGELU')
        options['layer_cfgs'] = dict(act_cfg=act_cfg)
    return options
