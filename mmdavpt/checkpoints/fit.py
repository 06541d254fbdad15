"""Whether a state is exactly that of a model."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few

from .tuned import FINGERPRINT, resume_only

#: What a user of the tools can do about a state that does not fit.
TOOL_ADVICE = (
    'give the same --cfg-options as in its training, or name what may differ '
    'in `load_allowed`, such as --cfg-options load_allowed=head.*'
)

#: Prediction has no use for the state of the guidance, so that a guided
#: checkpoint may be tested unguided; and a training that is not resumed makes
#: its own.
GUIDANCE = 'guidance.*'


def state_mismatch(
    model: nn.Module, state: Mapping[str, Tensor]
) -> tuple[list[str], list[str], list[str]]:
    """Return what a state lacks, what it has beyond a model, what misfits.

    A state without frozen weights does not lack those: the model compares
    them by their fingerprint.

    Args:
        model (nn.Module): The model, without wrapper.
        state (Mapping[str, Tensor]): Names to tensors; a leading 'module.'
            is ignored.

    Returns:
        tuple[list[str], list[str], list[str]]: The names that are missing,
        surplus, and of another shape.
    """
    own = model.state_dict()
    given = {
        name.removeprefix('module.'): getattr(value, 'shape', None)
        for name, value in state.items()
    }
    dispensable = set()
    if FINGERPRINT in given:
        del given[FINGERPRINT]
        dispensable = resume_only(model) | {
            name
            for name, parameter in model.named_parameters()
            if not parameter.requires_grad
        }
    missing = [
        name
        for name in own
        if name not in given
        and name not in dispensable
        and not name.endswith('num_batches_tracked')
    ]
    surplus = [name for name in given if name not in own]
    misshapen = [
        name
        for name, value in own.items()
        if name in given and given[name] != value.shape
    ]
    return missing, surplus, misshapen


def check_fit(
    model: nn.Module,
    state: dict,
    source: str,
    allowed: Sequence[str] = (),
    advice: str = TOOL_ADVICE,
) -> None:
    """Raise if a state is not exactly that of a model.

    Args:
        model (nn.Module): The model, without wrapper.
        state (dict): Names to tensors. Those of another shape that are
            allowed are taken out.
        source (str): Where it is from, for the message.
        allowed (Sequence[str]): Patterns of names, such as ``'head.*'``.
            Defaults to ().
        advice (str): What can be done. Defaults to that for the tools.

    Raises:
        UsageError: If something does not fit that is not allowed.
    """
    missing, surplus, misshapen = state_mismatch(model, state)
    total = len(model.state_dict())
    if not set(model.state_dict()) - {*missing, *misshapen}:
        raise UsageError(
            f'{source} gives none of the {total} weights of this model; '
            'pre-trained weights of a backbone are '
            "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE)"
        )
    parts = []
    for names, sentence in (
        (missing, 'lacks {}'),
        (misshapen, 'has {} in another shape'),
        (surplus, 'has {} that this model lacks'),
    ):
        wrong = [name for name in names if not _matches(name, allowed)]
        if wrong:
            parts.append(sentence.format(first_few(wrong)))
    if parts:
        raise UsageError(
            f'{source} should have exactly the {total} weights of this '
            f'model, but {", and ".join(parts)}: it was made with another '
            f'config; {advice}'
        )
    for name in misshapen:
        state.pop(name, None)
        state.pop(f'module.{name}', None)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
