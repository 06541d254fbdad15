"""Tuned-only checkpoints: drop frozen weights, and restore them.

A tuned-only state contains a fingerprint of the frozen weights under
:data:`FINGERPRINT`. A model that loads it fills in its own frozen weights, or
those its config names, if they have this fingerprint; otherwise it refuses.
"""

from collections.abc import MutableMapping

from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few
from mmdavpt.unwrap import unwrap

from .fingerprint import fingerprint, same_names, same_values, short
from .frozen import frozen_weights, reload_pretrained

#: Name of the fingerprint among the weights.
FINGERPRINT = 'frozen_fingerprint'
#: How many iterations of logs a tuned-only checkpoint keeps.
LOGGED = 10_000
#: States within a checkpoint -> prefix of the model's names in them.
STATES = {'state_dict': '', 'ema_state_dict': 'module.'}


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
