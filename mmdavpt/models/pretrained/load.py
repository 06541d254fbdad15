"""Load pre-trained weights strictly into a prompted backbone."""

import inspect
import logging
from collections.abc import Sequence
from functools import partial

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few
from mmdavpt.models.added import is_added

from .families import MMPRETRAIN, Normalization
from .naming import NamedWeights, describe_architecture, to_mmpretrain
from .position_embedding import fit_position_embedding
from .reading import read_checkpoint
from .timm_architecture import QUICK_GELU, check_architecture

#: Parts of a checkpoint that a backbone may lack: norms and [CLS].
OPTIONAL_PARTS = ('ln1.', 'ln2.', 'cls_token')


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
    try:
        if read.model is not None:
            check_architecture(read.model, module)
        named = to_mmpretrain(read.weights, prefix, read.family)
        if 'layers.0.ffn.w12.weight' in module.state_dict():
            named = named._replace(weights=_name_swiglu(named.weights))
        check_values(named.weights)
        weights = fit_to(module, named)
    except UsageError as error:
        raise UsageError(f'{checkpoint}: {error}') from error
    module.load_state_dict(weights, strict=False)
    normalization = read.normalization or named.normalization
    left_out = [k for k in named.weights if k not in weights] + named.left_out
    untouched = [
        key
        for key in module.state_dict()
        if key not in weights and not is_added(key)
    ]
    print_log(
        f'Loaded {len(weights)} pre-trained weights with names of '
        f'{named.label} from {checkpoint}; images were normalized with '
        f'{normalization or "undeclared mean and std"}'
        + (f'; skipped: {first_few(left_out)}' if left_out else '')
        + (f'; not loaded: {first_few(untouched)}' if untouched else ''),
        logger='current',
    )
    _warn_of_other_functions(module, named, read.model)
    return normalization


def _name_swiglu(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give SwiGLU's projections mmpretrain's names; timm reuses the MLP's."""
    return {
        key.replace('.ffn.layers.0.0.', '.ffn.w12.').replace(
            '.ffn.layers.1.', '.ffn.w3.'
        ): value
        for key, value in weights.items()
    }


def check_values(weights: dict[str, Tensor]) -> None:
    """Refuse weights that are no finite floating point numbers.

    Args:
        weights (dict[str, Tensor]): The weights by name.

    Raises:
        UsageError: If some are not.
    """
    bad = [
        name
        for name, value in weights.items()
        if not value.is_floating_point() or not torch.isfinite(value).all()
    ]
    if bad:
        raise UsageError(
            'the checkpoint should hold finite floating point numbers, but '
            f'does not in {first_few(bad)}; it is damaged or quantized, so '
            'download it again'
        )


def fit_to(module: nn.Module, named: NamedWeights) -> dict[str, Tensor]:
    """Return the weights for a backbone, all in its shapes.

    The checkpoint's final norm is dropped if the backbone has none
    (``final_norm=False``), and so is [CLS]. The norm after pooling (``ln2``,
    MAE's ``fc_norm``) may be missing: it keeps its initial values.

    Args:
        module (nn.Module): See :func:`load_pretrained`.
        named (NamedWeights): Weights of the checkpoint.

    Raises:
        UsageError: If weights are missing, unexpected or have another shape.
    """
    target = module.state_dict()
    problems = {
        'lacks weights:': [
            key
            for key in target
            if key not in named.weights
            and not key.startswith('ln2.')
            and not is_added(key)
        ],
        'has unexpected weights:': named.surplus
        + [
            key
            for key in named.weights
            if key not in target and not key.startswith(OPTIONAL_PARTS)
        ],
    }
    weights = {k: v for k, v in named.weights.items() if k in target}
    if not any(problems.values()):
        weights['pos_embed'] = _fit_positions(module, named)
        problems['has weights of another shape:'] = [
            f'{key} (should be {tuple(target[key].shape)}, but is '
            f'{tuple(value.shape)})'
            for key, value in weights.items()
            if value.shape != target[key].shape
        ]
    if not any(problems.values()):
        return weights
    found = ' and '.join(
        f'{problem} {first_few(keys)}'
        for problem, keys in problems.items()
        if keys
    )
    raise UsageError(
        f'the checkpoint, with names of {named.label}, {found}. It has '
        f'{describe_architecture(named.weights)}; the backbone has '
        f'{describe_architecture(target)}. Set arch, patch_size, img_size, '
        'layer_scale_init_value, pre_norm and with_cls_token of the backbone '
        'as in the checkpoint (docs/weights.md)'
    )


def _fit_positions(module: nn.Module, named: NamedWeights) -> Tensor:
    """Return the position embeddings; our own may have any grid."""
    position = named.weights['pos_embed']
    is_own = named.label == MMPRETRAIN.name
    if position.ndim != 3 or (
        is_own and position.shape == module.pos_embed.shape
    ):
        return position
    return fit_position_embedding(
        position,
        module.num_extra_tokens,
        tuple(module.patch_embed.init_out_size),
    )


def _warn_of_other_functions(
    module: nn.Module, named: NamedWeights, model: nn.Module | None
) -> None:
    """Warn if the weights fit but the backbone computes something else."""
    warn = partial(print_log, logger='current', level=logging.WARNING)
    layer = module.layers[0]
    eps = named.norm_eps if model is None else model.blocks[0].norm1.eps
    ours = getattr(layer.ln1, 'eps', None)
    if None not in (eps, ours) and eps != ours:
        warn(
            f'weights of {named.label} were trained with layer norms of eps '
            f'{eps:g}, but the backbone has {ours:g}; set '
            f"norm_cfg=dict(type='LN', eps={eps:g}) of the backbone"
        )
    parts = {type(part).__name__ for part in layer.ffn.modules()}
    if named.label == 'CLIP (OpenAI)' and 'QuickGELU' not in parts:
        warn(
            "OpenAI's CLIP was trained with QuickGELU, but the backbone has "
            f'another activation; set {QUICK_GELU} of the backbone'
        )
