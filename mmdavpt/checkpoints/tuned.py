"""Checkpoints without the frozen weights, and models made whole from them.

A state without frozen weights has a fingerprint of them under
:data:`FINGERPRINT`. A model that loads it fills in its own frozen weights, or
those that its config names, if they have this fingerprint, and refuses else.
"""

from collections.abc import MutableMapping

from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few
from mmdavpt.unwrap import unwrap

from .fingerprint import fingerprint, same_names, same_values, short
from .frozen import frozen_weights, restore

#: The name of the fingerprint among weights.
FINGERPRINT = 'frozen_fingerprint'
#: How many iterations of logs a checkpoint without frozen weights keeps.
LOGGED = 10_000
#: What states within a checkpoint have before the model's names.
STATES = {'state_dict': '', 'ema_state_dict': 'module.'}


def tunable_model(model: nn.Module) -> nn.Module:
    """Return a model without its wrapper, if it can do without frozen weights.

    Args:
        model (nn.Module): The model of a run.

    Raises:
        UsageError: If it is not a model of this package.
    """
    model = unwrap(model)
    if not getattr(model, 'completes_tuned_weights', False):
        raise UsageError(
            'tuned_only=True needs a DAVPTImageClassifier or a '
            'DAVPTEncoderDecoder, which find their frozen weights again, but '
            f'the model is a {type(model).__name__}; leave tuned_only out'
        )
    return model


def strip_frozen(
    checkpoint: dict, model: nn.Module, expected: Tensor | None = None
) -> bool:
    """Leave the frozen weights out of a checkpoint.

    Without an optimizer a checkpoint is not to be resumed, and also goes
    without logs and without buffers that only resuming needs. Else only the
    end of the logs stays, which grow with every iteration.

    Args:
        checkpoint (dict): Of a runner, changed in place.
        model (nn.Module): Its model, without wrapper.
        expected (Tensor, optional): The fingerprint of frozen weights that
            can be had again. Defaults to None, these.

    Returns:
        bool: False, and nothing is left out, if the frozen weights are not
        the expected ones.
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


def complete(
    model: nn.Module, state: MutableMapping[str, Tensor], prefix: str = ''
) -> None:
    """Fill the frozen weights of a model into a state that goes without.

    Args:
        model (nn.Module): The model. If its frozen weights are not those of
            the state, the pre-trained ones that its config names are loaded.
        state (MutableMapping[str, Tensor]): Names to tensors, changed in
            place; one without a fingerprint stays as it is.
        prefix (str): What the names of the model begin with in the state.
            Defaults to ''.

    Raises:
        UsageError: If the state was tuned on other frozen weights, or with
            another config.
    """
    expected = state.pop(prefix + FINGERPRINT, None)
    if expected is None:
        return
    own = model.state_dict()
    parameters = dict(model.named_parameters())
    absent = [name for name in own if prefix + name not in state]
    frozen = {name: own[name] for name in absent if name in parameters}
    found = fingerprint(frozen)
    if not same_names(expected, found):
        trained = [n for n in frozen if parameters[n].requires_grad]
        raise UsageError(
            'these tuned weights were made with another config: they leave '
            'out other weights than this model freezes'
            + (f', and lack {first_few(trained)}' if trained else '')
            + '; use the config of the training'
        )
    if not same_values(expected, found):
        sources = restore(model)
        found = fingerprint(frozen)
        if not same_values(expected, found):
            raise UsageError(
                'these weights were tuned on frozen weights of fingerprint '
                f'{short(expected)}, but those of {" and ".join(sources)} '
                f'have {short(found)}; set init_cfg.checkpoint of the '
                'backbone to the file of the training'
            )
    for name in (*frozen, *resume_only(model).intersection(absent)):
        state[prefix + name] = own[name]


def fill_frozen_everywhere(checkpoint: dict, model: nn.Module) -> None:
    """Fill the frozen weights of a model into all states of a checkpoint.

    Args:
        checkpoint (dict): Of a runner, changed in place.
        model (nn.Module): See :func:`complete`.

    Raises:
        UsageError: See :func:`complete`.
    """
    for key, prefix in STATES.items():
        if key in checkpoint:
            complete(model, checkpoint[key], prefix)


def resume_only(model: nn.Module) -> set[str]:
    """Return the names of buffers that nothing but resuming needs.

    Args:
        model (nn.Module): The model; its modules name them in
            ``resume_only``.
    """
    return {
        f'{name}.{buffer}'
        for name, module in model.named_modules()
        for buffer in getattr(module, 'resume_only', ())
    }
