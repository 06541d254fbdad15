"""Strict loading of pre-trained weights into a prompted backbone."""

from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmdavpt.errors import UsageError

from .families import MMPRETRAIN, Normalization
from .messages import (
    both_architectures,
    left_out,
    made_with,
    misfit,
    some,
    untouched,
    warn_of_other_functions,
)
from .naming import NamedWeights, of_family, to_mmpretrain
from .position_embedding import fit_position_embedding
from .reading import Checkpoint, read_checkpoint

#: SwiGLU's projections, which timm calls as those of a plain FFN.
SWIGLU = {'.ffn.layers.0.0.': '.ffn.w12.', '.ffn.layers.1.': '.ffn.w3.'}


#: What ``init_cfg`` of type 'Pretrained' takes.
INIT_KEYS = {'type', 'checkpoint', 'prefix', 'allow_pickle'}


def checked_init_cfg(
    init_cfg: dict | Sequence[dict] | None,
) -> dict | Sequence[dict] | None:
    """Return the ``init_cfg`` of a backbone, a list of one as that one.

    Args:
        init_cfg (dict | Sequence[dict], optional): As the config has it.

    Raises:
        ValueError: If one of type 'Pretrained' does not stand alone, or has
            keys that :func:`load_pretrained` does not take.
    """
    if isinstance(init_cfg, (list, tuple)):
        if not any(cfg.get('type') == 'Pretrained' for cfg in init_cfg):
            return init_cfg
        if len(init_cfg) > 1:
            raise ValueError(
                "`init_cfg` of type 'Pretrained' loads all weights, so it "
                f'should stand alone, but got {init_cfg}'
            )
        init_cfg = init_cfg[0]
    if init_cfg is None or init_cfg.get('type') != 'Pretrained':
        return init_cfg
    unknown = sorted(set(init_cfg) - INIT_KEYS)
    if unknown or 'checkpoint' not in init_cfg:
        raise ValueError(
            "`init_cfg` of type 'Pretrained' should have `checkpoint`, and "
            'may have `prefix` and `allow_pickle`, but got '
            f'{sorted(set(init_cfg) - {"type"})}'
        )
    return init_cfg


def load_pretrained(
    module: nn.Module,
    checkpoint: str,
    prefix: str | None = None,
    allow_pickle: bool = False,
    own: Sequence[str] = (),
) -> Normalization | None:
    """Load a checkpoint of any family, or refuse it: all fits, or nothing.

    Args:
        module (nn.Module): The backbone, a ``VisionTransformer`` of
            mmpretrain.
        checkpoint (str): See :func:`.read_checkpoint`.
        prefix (str, optional): What the backbone's keys start with.
            Defaults to None, which looks for it.
        allow_pickle (bool): See :func:`.read_checkpoint`. Defaults to False.
        own (Sequence[str]): Beginnings of names that a pre-trained checkpoint
            need not have.

    Returns:
        Normalization | None: With what images the weights were made, where
        that is declared.

    Raises:
        FileNotFoundError: If the file does not exist.
        UsageError: If it cannot be read, or a weight of the backbone is
            missing, misshapen or would be left over.
    """
    read, named, weights = read_fitting(
        module, checkpoint, prefix, allow_pickle, own
    )
    module.load_state_dict(weights, strict=False)
    normalization = read.normalization or named.normalization or read.beside
    renamed = _swiglu_names(named.weights, module.state_dict())
    unread = [name for name in renamed if name not in weights]
    print_log(
        f'Loaded {len(weights)} pre-trained weights with the names of '
        f'{named.label} from {checkpoint}; '
        + made_with(normalization)
        + left_out(unread + named.left_out)
        + untouched(module, weights, own),
        logger='current',
    )
    warn_of_other_functions(module, named)
    return normalization


def read_fitting(
    module: nn.Module,
    checkpoint: str,
    prefix: str | None = None,
    allow_pickle: bool = False,
    own: Sequence[str] = (),
) -> tuple[Checkpoint, NamedWeights, dict[str, Tensor]]:
    """Read what :func:`load_pretrained` loads, without loading it.

    Only shapes of the module are looked at, so it may be on the meta device.

    Args:
        module (nn.Module): See :func:`load_pretrained`, as all others.

    Returns:
        tuple[Checkpoint, NamedWeights, dict[str, Tensor]]: What was read,
        the same with the names of mmpretrain, and what fits the module.

    Raises:
        FileNotFoundError: If the file does not exist.
        UsageError: If it cannot be read, or does not fit.
    """
    read = read_checkpoint(checkpoint, allow_pickle)
    try:
        named = to_mmpretrain(read.weights, prefix)
        if read.family:
            named = of_family(named, read.family)
        check_values(named.weights)
        return read, named, fit_to(module, named, own)
    except UsageError as error:
        raise UsageError(f'{checkpoint}: {error}') from error


def check_values(weights: dict[str, Tensor]) -> None:
    """Raise if weights are no finite floating point numbers.

    Args:
        weights (dict[str, Tensor]): By name.

    Raises:
        UsageError: If some are not: the file is damaged, or was quantised.
    """
    bad = [
        name
        for name, value in weights.items()
        if not value.is_floating_point() or not torch.isfinite(value).all()
    ]
    if bad:
        raise UsageError(
            'the checkpoint should hold finite floating point numbers, but '
            f'{some(bad)} do not; it is damaged or quantised: get it again'
        )


def fit_to(
    module: nn.Module,
    named: NamedWeights,
    own: Sequence[str] = (),
) -> dict[str, Tensor]:
    """Return the weights that a backbone takes, all with its shapes.

    A checkpoint's final norm is left out where the backbone has none
    (``final_norm=False``), and so is [CLS]. The norm after pooling (``ln2``,
    MAE's ``fc_norm``) may be absent: it then keeps its start.

    Args:
        module (nn.Module): See :func:`load_pretrained`.
        named (NamedWeights): The checkpoint's.
        own (Sequence[str]): See :func:`load_pretrained`.

    Raises:
        UsageError: If weights are missing, misshapen or left over.
    """
    target = module.state_dict()
    weights = _swiglu_names(named.weights, target)
    optional = ('ln2.', *own)
    expected = {key for key in target if not key.startswith(optional)}
    missing = sorted(expected - set(weights))
    absent_here = set(weights) - set(target)
    dispensable = ('ln1.', 'ln2.', 'cls_token')
    surplus = named.surplus + sorted(
        key for key in absent_here if not key.startswith(dispensable)
    )
    if missing or surplus:
        raise UsageError(misfit(module, named, missing, surplus))
    weights = {key: weights[key] for key in weights if key in target}
    grid = module.patch_embed.init_out_size
    position = weights['pos_embed']
    # A backbone of these names may have a grid that is not a square.
    own_grid = (
        named.family.name == MMPRETRAIN.name
        and position.shape == target['pos_embed'].shape
    )
    if position.ndim == 3 and not own_grid:
        weights['pos_embed'] = fit_position_embedding(
            position, module.num_extra_tokens, tuple(grid)
        )
    misshapen = [
        f'{key} should be {tuple(target[key].shape)}, but is '
        f'{tuple(value.shape)}'
        for key, value in weights.items()
        if value.shape != target[key].shape
    ]
    if misshapen:
        raise UsageError(
            'the checkpoint does not fit: '
            f'{some(misshapen, "; ")}. {both_architectures(module, named)}'
        )
    return weights


def _swiglu_names(
    weights: dict[str, Tensor], target: dict[str, Tensor]
) -> dict[str, Tensor]:
    if 'layers.0.ffn.w12.weight' not in target:
        return weights
    renamed = {}
    for key, value in weights.items():
        for plain, gated in SWIGLU.items():
            key = key.replace(plain, gated)
        renamed[key] = value
    return renamed
