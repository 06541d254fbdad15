"""Load pre-trained weights strictly into a prompted backbone."""

import inspect
import logging
from collections.abc import Iterable, Sequence
from math import isqrt

import torch
from mmengine.logging import print_log
from timm.layers import Attention, Mlp, PatchEmbed, resample_abs_pos_embed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from mmdavpt.checkpoints.fit import compare_weights, describe_mismatch
from mmdavpt.errors import UsageError, first_few, prefix_errors
from mmdavpt.models.trainable import is_added

from .families import MMPRETRAIN, Normalization, Weights
from .naming import NamedWeights, to_mmpretrain
from .reading import read_checkpoint

#: Parts of a checkpoint that a backbone may lack: norms and [CLS].
OPTIONAL_PARTS = ('ln1.', 'ln2.', 'cls_token')
#: Setting of a backbone for weights of OpenAI's CLIP.
QUICK_GELU = "layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU'))"


def checked_init_cfg(
    init_cfg: dict | Sequence[dict] | None,
) -> dict | Sequence[dict] | None:
    """Return the ``init_cfg`` of a backbone; unwrap a list of one.

    Args:
        init_cfg (dict | Sequence[dict], optional): As in the config.

    Raises:
        ValueError: If one of type 'Pretrained' is not the only one.
        TypeError: If it has keys that :func:`load_pretrained` does not take.
    """
    cfgs = [init_cfg] if isinstance(init_cfg, dict) else [*(init_cfg or ())]
    if not any(cfg.get('type') == 'Pretrained' for cfg in cfgs):
        return init_cfg
    if len(cfgs) > 1:
        raise ValueError(
            "`init_cfg` of type 'Pretrained' loads all weights, so it should "
            f'be the only one, but got {init_cfg}'
        )
    options = {key: value for key, value in cfgs[0].items() if key != 'type'}
    inspect.signature(load_pretrained).bind(None, **options)
    return cfgs[0]


def load_pretrained(
    module: nn.Module,
    checkpoint: str,
    prefix: str | None = None,
    allow_pickle: bool = False,
) -> Normalization | None:
    """Load a checkpoint of any family completely, or raise an error.

    Args:
        module (nn.Module): The backbone, a ``VisionTransformer`` of
            MMPretrain.
        checkpoint (str): See :func:`.read_checkpoint`.
        prefix (str, optional): Prefix of the backbone's keys. Defaults to
            None: find it.
        allow_pickle (bool): See :func:`.read_checkpoint`. Defaults to False.

    Returns:
        Normalization | None: Image normalization of the weights, if it is
        declared.

    Raises:
        FileNotFoundError: If the file does not exist.
        UsageError: If it cannot be read, its model computes something else,
            or weights are missing, unexpected or have another shape.
    """
    read = read_checkpoint(checkpoint, allow_pickle)
    with prefix_errors(checkpoint, UsageError):
        named = to_mmpretrain(read.weights, prefix)
        weights = fit_to(module, named, read.model)
    normalization = read.normalization or named.family.normalization
    skipped = [key for key in named.weights if key not in module.state_dict()]
    load_and_log(
        module,
        weights,
        f'with names of {named.family.name} from {checkpoint}',
        normalization,
        skipped + named.left_out,
    )
    eps, activation = functions_of(named, read.model)
    layer = module.layers[0]
    ours = getattr(layer.ln1, 'eps', None)
    if None not in (eps, ours) and eps != ours:
        _warn(
            f'weights of {named.family.name} were trained with layer norms of '
            f'eps {eps:g}, but the backbone has {ours:g}; set '
            f"norm_cfg=dict(type='LN', eps={eps:g}) of the backbone"
        )
    parts = {type(part).__name__ for part in layer.ffn.modules()}
    if activation == 'QuickGELU' not in parts:
        _warn(
            "OpenAI's CLIP was trained with QuickGELU, but the backbone has "
            f'another activation; set {QUICK_GELU} of the backbone'
        )
    return normalization


def _warn(sentence: str) -> None:
    print_log(sentence, logger='current', level=logging.WARNING)


def load_and_log(
    module: nn.Module,
    weights: Weights,
    source: str,
    normalization: Normalization | None,
    skipped: Iterable[str] = (),
) -> None:
    """Load weights that were compared with a model, and log a summary.

    Args:
        module (nn.Module): The model.
        weights (Weights): Weights in its names and shapes.
        source (str): Where they come from.
        normalization (Normalization, optional): Of the images.
        skipped (Iterable[str]): Keys of the checkpoint that are not used.
            Defaults to ().
    """
    missing = module.load_state_dict(weights, strict=False).missing_keys
    untouched = [key for key in missing if not is_added(key)]
    print_log(
        f'Loaded {len(weights)} pre-trained weights {source}; images were '
        f'normalized with {normalization or "undeclared mean and std"}'
        + (f'; skipped: {first_few(skipped)}' if skipped else '')
        + (f'; not loaded: {first_few(untouched)}' if untouched else ''),
        logger='current',
    )


def both_shapes(
    target: Weights, weights: Weights, names: Iterable[str]
) -> list[str]:
    """Return names of weights with their shape in the model and in a file."""
    pairs = {n: (target[n].shape, weights[n].shape) for n in names}
    form = '{} (should be {}, but is {})'.format
    return [form(n, tuple(a), tuple(b)) for n, (a, b) in pairs.items()]


def check_values(weights: Weights) -> None:
    """Refuse weights that are no finite floating point numbers.

    Args:
        weights (Weights): The weights by name.

    Raises:
        UsageError: If some are not.
    """
    good = [k for k, v in weights.items() if v.is_floating_point()]
    good = {key for key in good if torch.isfinite(weights[key]).all()}
    if bad := [key for key in weights if key not in good]:
        raise UsageError(
            'the checkpoint should hold finite floating point numbers, but '
            f'does not in {first_few(bad)}; it is damaged or quantized, so '
            'download it again'
        )


def fit_to(
    module: nn.Module, named: NamedWeights, model: nn.Module | None
) -> dict[str, Tensor]:
    """Return the weights for a backbone, all in its shapes.

    The checkpoint's final norm is dropped if the backbone has none
    (``final_norm=False``), and so is [CLS]. The norm after pooling (``ln2``,
    MAE's ``fc_norm``) may be missing: it keeps its initial values.

    Args:
        module (nn.Module): See :func:`load_pretrained`.
        named (NamedWeights): Weights of the checkpoint.
        model (nn.Module, optional): timm's model of the weights, if known.

    Raises:
        UsageError: If the model computes something else, or weights are
            missing, unexpected, damaged or have another shape.
    """
    if model is not None and (other := difference_from(model, module)):
        raise UsageError(f'the weights belong to a model of timm with {other}')
    target, weights = module.state_dict(), dict(named.weights)
    if 'layers.0.ffn.w12.weight' in target:  # timm names SwiGLU as an MLP
        for key in list(weights):
            new = key.replace('.ffn.layers.0.0.', '.ffn.w12.')
            new = new.replace('.ffn.layers.1.', '.ffn.w3.')
            weights[new] = weights.pop(key)
    check_values(weights)
    position = weights.get('pos_embed', torch.empty(0))
    same = position.shape == target['pos_embed'].shape
    own = named.family is MMPRETRAIN and same
    if position.ndim == 3 and not own:  # our own may have any grid
        grid = tuple(module.patch_embed.init_out_size)
        sizes = (module.num_extra_tokens, grid)
        weights['pos_embed'] = fit_position_embedding(position, *sizes)
    missing, unexpected, mismatched = compare_weights(target, weights)
    missing = [k for k in missing if not (is_added(k) or k.startswith('ln2.'))]
    surplus = [k for k in unexpected if not k.startswith(OPTIONAL_PARTS)]
    shapes = both_shapes(target, weights, mismatched)
    problems = describe_mismatch((missing, named.surplus + surplus, shapes))
    if problems:
        raise UsageError(
            f'the checkpoint, with names of {named.family.name}, {problems}; '
            'set arch, patch_size, img_size, layer_scale_init_value, pre_norm '
            'and with_cls_token of the backbone as in the checkpoint '
            '(docs/weights.md)'
        )
    return {key: value for key, value in weights.items() if key in target}


def fit_position_embedding(
    pos_embed: Tensor, num_extra_tokens: int, grid: tuple[int, int]
) -> Tensor:
    """Return position embeddings for a backbone's tokens and patch grid.

    timm resizes the patches. The position of [CLS] is dropped if the backbone
    has no [CLS], and is zero if the checkpoint has no position for it (timm's
    ``no_embed_class``).

    Args:
        pos_embed (Tensor): Shape (1, [1+]h*w, C), from a square grid.
        num_extra_tokens (int): 1 if the backbone has [CLS], else 0.
        grid (tuple[int, int]): Rows and columns of the backbone's patches.

    Returns:
        Tensor: Shape (1, num_extra_tokens + rows * columns, C); unchanged if
        the patches form no square.
    """
    count, patches = pos_embed.shape[1], grid[0] * grid[1]
    if count == num_extra_tokens + patches and isqrt(patches) ** 2 != patches:
        return pos_embed  # the same grid, which is not a square
    prefix = 0 if isqrt(count) ** 2 == count else 1
    if isqrt(count - prefix) ** 2 != count - prefix:
        return pos_embed
    resized = resample_abs_pos_embed(
        pos_embed[:, prefix:], list(grid), num_prefix_tokens=0
    )
    cls = pos_embed[:, :1] if prefix else torch.zeros_like(resized[:, :1])
    return torch.cat((cls[:, :num_extra_tokens], resized), dim=1)


def difference_from(model: nn.Module, backbone: nn.Module) -> str:
    """Return in what a model of timm computes something else than a backbone.

    Weights may have the names and shapes of a plain ViT although their model
    has rotary embeddings, another activation or another number of heads.

    Args:
        model (nn.Module): timm's model of the weights.
        backbone (nn.Module): A VisionTransformer in mmpretrain's names.

    Returns:
        str: What it has; '' if the two are the same.
    """
    advice = 'choose weights of a plain VisionTransformer'
    if type(model) is not VisionTransformer:
        return f'the class {type(model).__name__}; {advice}'
    block, layer = model.blocks[0], backbone.layers[0]
    parts = (model.patch_embed, block, block.attn)
    for part, plain in zip(parts, (PatchEmbed, Block, Attention), strict=True):
        if type(part) is not plain:
            return f'{type(part).__name__}, not {plain.__name__}; {advice}'
    heads = block.attn.num_heads
    if heads != layer.attn.num_heads:
        return (
            f'{heads} heads, but the backbone has {layer.attn.num_heads}; set '
            f'num_heads={heads} in its arch'
        )
    if type(block.mlp) is Mlp:
        activation = type(block.mlp.act).__name__
        if activation not in {type(m).__name__ for m in layer.ffn.modules()}:
            if activation == 'QuickGELU':
                advice = f'set {QUICK_GELU} of the backbone'
            return f'the activation {activation}; {advice}'
    return ''


def functions_of(
    named: NamedWeights, model: nn.Module | None
) -> tuple[float | None, str | None]:
    """Return what weights do not show of the model that they belong to.

    Args:
        named (NamedWeights): The weights.
        model (nn.Module, optional): timm's model of the weights, if known.

    Returns:
        tuple[float | None, str | None]: Epsilon of the layer norms and name
        of the activation, None if unknown.
    """
    if model is not None:
        block = model.blocks[0]
        return block.norm1.eps, type(getattr(block.mlp, 'act', None)).__name__
    return named.family.norm_eps, named.family.activation
