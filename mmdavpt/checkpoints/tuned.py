"""Tuned-only checkpoints: identify, drop and restore frozen weights.

A tuned-only state contains a fingerprint of the frozen weights under
:data:`FINGERPRINT`. A model that loads it fills in its own frozen weights, or
those its config names, if they have this fingerprint; otherwise it refuses.
"""

import copy
import hashlib
from collections.abc import Mapping, MutableMapping

import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few, prefix_errors
from mmdavpt.unwrap import unwrap

#: Name of the fingerprint among the weights.
FINGERPRINT = 'frozen_fingerprint'
#: How many iterations of logs a tuned-only checkpoint keeps.
LOGGED = 10_000
#: States within a checkpoint -> prefix of the model's names in them.
STATES = {'state_dict': '', 'ema_state_dict': 'module.'}
#: Bytes of a SHA-256 digest.
DIGEST = 32
#: Number of values that represent a position embedding. Loading resizes it,
#: and the last bits of that depend on the machine.
SAMPLES = 64
#: Differences that resizing may cause, relative to the spread of the values.
#: Another resizing method causes a hundred times more.
TOLERANCE = 1e-4


def fingerprint(weights: Mapping[str, Tensor]) -> Tensor:
    """Return the fingerprint of named weights.

    It consists of a digest of the names and shapes, a digest of the values,
    bit for bit, and samples of the position embeddings.

    Args:
        weights (Mapping[str, Tensor]): Of any devices and types.

    Returns:
        Tensor: Bytes, uint8, shape (64 + 256 * position embeddings, ).
    """
    names, values = hashlib.sha256(), hashlib.sha256()
    samples = []
    for name in sorted(weights):
        value = weights[name].detach().cpu().contiguous()
        names.update(f'{name}{tuple(value.shape)};'.encode())
        if name.endswith('pos_embed'):
            flat = value.reshape(-1).float()
            places = torch.linspace(0, flat.numel() - 1, SAMPLES).round()
            samples.append(flat[places.long()].clone().view(torch.uint8))
        else:
            values.update(value.reshape(-1).view(torch.uint8).numpy())
    digests = bytearray(names.digest() + values.digest())
    return torch.cat([torch.frombuffer(digests, dtype=torch.uint8), *samples])


def same_names(one: Tensor, other: Tensor) -> bool:
    """Return whether two fingerprints have the same names and shapes.

    Args:
        one (Tensor): A fingerprint.
        other (Tensor): A fingerprint.
    """
    return torch.equal(one[:DIGEST], other[:DIGEST])


def same_values(one: Tensor, other: Tensor) -> bool:
    """Return whether two fingerprints belong to the same weights.

    Args:
        one (Tensor): A fingerprint.
        other (Tensor): A fingerprint.
    """
    exact = slice(0, 2 * DIGEST)
    if one.shape != other.shape or not torch.equal(one[exact], other[exact]):
        return False
    first, second = (
        values[2 * DIGEST :].clone().view(torch.float32).view(-1, SAMPLES)
        for values in (one, other)
    )
    spread = first.std(dim=1, keepdim=True)
    return bool(((first - second).abs() <= TOLERANCE * spread).all())


def short(value: Tensor) -> str:
    """Return the part of a fingerprint that messages show.

    Args:
        value (Tensor): A fingerprint.
    """
    return bytes(value[DIGEST : DIGEST + 4].tolist()).hex()


def frozen_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of a model that do not train, by name.

    Args:
        model (nn.Module): The model, without wrapper.
    """
    named = model.named_parameters()
    return {name: p.detach() for name, p in named if not p.requires_grad}


def reload_pretrained(model: nn.Module) -> list[str]:
    """Load the pre-trained weights that a model's config names.

    Args:
        model (nn.Module): The model.

    Returns:
        list[str]: The files they were loaded from.

    Raises:
        UsageError: If the config names none, or they cannot be read.
    """
    modules = _pretrained_modules(model).values()
    if not modules:
        raise UsageError(
            'a tuned-only checkpoint needs the frozen weights it was tuned '
            'on, but the config names none; set model.backbone.init_cfg='
            "dict(type='Pretrained', checkpoint=FILE)"
        )
    needed = 'a tuned-only checkpoint needs the frozen weights'
    for module in modules:
        with prefix_errors(needed, FileNotFoundError):
            module.load_pretrained_weights()
    return [module.init_cfg['checkpoint'] for module in modules]


def check_restorable(model: nn.Module) -> None:
    """Check that a model's config provides all of its frozen weights.

    Args:
        model (nn.Module): The model with the weights of the training.

    Raises:
        UsageError: If the config does not provide some of the frozen weights.
    """
    modules = _pretrained_modules(model)
    kept = tuple(f'{prefix}.' for prefix in modules)
    frozen = frozen_weights(model)
    lost = [name for name in frozen if not name.startswith(kept)]
    if lost:
        raise UsageError(
            f'tuned_only=True would drop {first_few(lost)}, which are frozen, '
            'but the config names no file to load them from; remove '
            'tuned_only, or set init_cfg of the backbone'
        )
    for name, module in modules.items():
        reloaded = copy.deepcopy(module).cpu()
        reloaded.load_pretrained_weights()
        frozen = map(frozen_weights, (module, reloaded))
        if not same_values(*map(fingerprint, frozen)):
            raise UsageError(
                f'tuned_only=True would drop the frozen weights of {name}, '
                f'but they differ from {module.init_cfg["checkpoint"]}, which '
                'the config names (`load_from` may have replaced them); '
                'remove tuned_only'
            )


def _pretrained_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that can reload their pre-trained weights."""
    return {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, 'load_pretrained_weights')
        and isinstance(module.init_cfg, dict)
        and module.init_cfg.get('type') == 'Pretrained'
    }


def tunable_model(model: nn.Module) -> nn.Module:
    """Return the unwrapped model, if it can load tuned-only states.

    Args:
        model (nn.Module): The model of a run.

    Raises:
        UsageError: If it is not a model of this package.
    """
    model = unwrap(model)
    if not getattr(model, 'completes_tuned_weights', False):
        raise UsageError(
            'tuned_only=True needs a DAVPTImageClassifier or a '
            'DAVPTEncoderDecoder, which can restore their frozen weights, but '
            f'the model is a {type(model).__name__}; remove tuned_only'
        )
    return model


def strip_frozen(
    checkpoint: dict, model: nn.Module, expected: Tensor | None = None
) -> bool:
    """Drop the frozen weights of a checkpoint.

    A checkpoint with an optimizer also keeps the end of its logs, which grow
    with every iteration. One without, which cannot be resumed, loses all
    logs and the buffers that only resuming needs.

    Args:
        checkpoint (dict): Of a runner, changed in place.
        model (nn.Module): Its model, without wrapper.
        expected (Tensor, optional): Fingerprint of the frozen weights that
            can be restored. Defaults to None: those of the model.

    Returns:
        bool: False, and nothing is dropped, if the frozen weights are not the
        expected ones.
    """
    frozen = frozen_weights(model)
    mark = fingerprint(frozen)
    if expected is not None and not same_values(expected, mark):
        return False
    if not frozen:
        return True
    dropped = set(frozen)
    if 'optimizer' not in checkpoint:
        dropped |= resume_only(model)
        checkpoint.pop('message_hub', None)
    logs = checkpoint.get('message_hub', {}).get('log_scalars', {})
    for name, log in logs.items():
        values, counts = log.data
        logs[name] = HistoryBuffer(values[-LOGGED:], counts[-LOGGED:])
    for key, prefix in STATES.items():
        if key in checkpoint:
            state = checkpoint[key]
            for name in dropped:
                del state[prefix + name]
            state[prefix + FINGERPRINT] = mark
    return True


def fill_frozen(
    model: nn.Module, state: MutableMapping[str, Tensor], prefix: str = ''
) -> None:
    """Add the frozen weights of a model to a tuned-only state.

    Args:
        model (nn.Module): The model. If its frozen weights are not those of
            the state, it loads the pre-trained ones that its config names.
        state (MutableMapping[str, Tensor]): Names to tensors, changed in
            place; a state without a fingerprint is left as it is.
        prefix (str): Prefix of the model's names in the state. Defaults to
            ''.

    Raises:
        UsageError: If the state was tuned on other frozen weights, or with
            another config.
    """
    expected = state.pop(prefix + FINGERPRINT, None)
    if expected is None:
        return
    own = model.state_dict()
    given = {n.removeprefix(prefix) for n in state if n.startswith(prefix)}
    for name in own.keys() ^ given:
        if name.endswith('.frozen_dtype'):
            stored = [] if name in own else state[prefix + name].tolist()
            raise UsageError(
                'this checkpoint was tuned on frozen weights of another type '
                'than those of this model; set model.backbone.frozen_dtype='
                f'{bytes(stored).decode() or None!r}, as in its training'
            )
    parameters = dict(model.named_parameters())
    absent = [name for name in own if prefix + name not in state]
    frozen = {name: own[name] for name in absent if name in parameters}
    found = fingerprint(frozen)
    if not same_names(expected, found):
        trained = [n for n in frozen if parameters[n].requires_grad]
        raise UsageError(
            'this tuned-only checkpoint was made with another config: the '
            'weights it omits differ from those that this model freezes'
            + (f', and it lacks {first_few(trained)}' if trained else '')
            + '; use the config of the training'
        )
    if not same_values(expected, found):
        sources = reload_pretrained(model)
        found = fingerprint(frozen)
        if not same_values(expected, found):
            raise UsageError(
                'this checkpoint was tuned on frozen weights with fingerprint '
                f'{short(expected)}, but {" and ".join(sources)} has '
                f'{short(found)}; set init_cfg.checkpoint of the backbone to '
                'the file of the training'
            )
    for name in (*frozen, *resume_only(model).intersection(absent)):
        state[prefix + name] = own[name]


def resume_only(model: nn.Module) -> set[str]:
    """Return the names of buffers that only resuming needs.

    Args:
        model (nn.Module): The model; its modules list them in
            ``resume_only``.
    """
    return {
        f'{name}.{buffer}'
        for name, module in model.named_modules()
        for buffer in getattr(module, 'resume_only', ())
    }
