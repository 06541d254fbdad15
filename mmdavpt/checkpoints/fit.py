"""Check that a state has exactly the weights of a model."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few

from .tuned import FINGERPRINT, resume_only

#: Default advice about a mismatched state, for users of the tools.
TOOL_ADVICE = (
    'use the --cfg-options of its training, or list what may differ in '
    '`load_allowed`, such as --cfg-options load_allowed=head.*'
)

#: Prediction does not use the state of the guidance, so a guided checkpoint
#: can be tested unguided, and a run that does not resume makes its own
#: mapping.
GUIDANCE = 'guidance.*'


def state_mismatch(
    model: nn.Module, state: Mapping[str, Tensor]
) -> tuple[list[str], list[str], list[str]]:
    """Return the names in which a state differs from a model.

    A tuned-only state may lack frozen weights: the model compares them by
    their fingerprint.

    Args:
        model (nn.Module): The model, without wrapper.
        state (Mapping[str, Tensor]): Names to tensors; a leading 'module.'
            is ignored.

    Returns:
        tuple[list[str], list[str], list[str]]: Missing names, unexpected
        names, and names with another shape.
    """
    own = model.state_dict()
    given = {
        name.removeprefix('module.'): getattr(value, 'shape', None)
        for name, value in state.items()
    }
    optional = set()
    if FINGERPRINT in given:
        del given[FINGERPRINT]
        optional = resume_only(model) | {
            name
            for name, parameter in model.named_parameters()
            if not parameter.requires_grad
        }
    missing = [
        name
        for name in own
        if name not in given
        and name not in optional
        and not name.endswith('num_batches_tracked')
    ]
    unexpected = [name for name in given if name not in own]
    mismatched = [
        name
        for name, value in own.items()
        if name in given and given[name] != value.shape
    ]
    return missing, unexpected, mismatched


def check_fit(
    model: nn.Module,
    state: dict,
    source: str,
    allowed: Sequence[str] = (),
    advice: str = TOOL_ADVICE,
) -> None:
    """Check that a state has exactly the weights of a model.

    Args:
        model (nn.Module): The model, without wrapper.
        state (dict): Names to tensors. Those with another shape are removed
            from it if they are allowed.
        source (str): Origin of the state, for the message.
        allowed (Sequence[str]): Patterns of names that may differ, such as
            ``'head.*'``. Defaults to ().
        advice (str): What to do, for the message. Defaults to the advice for
            users of the tools.

    Raises:
        UsageError: If a difference is not allowed.
    """
    missing, unexpected, mismatched = state_mismatch(model, state)
    own = model.state_dict()
    if not set(own) - {*missing, *mismatched}:
        raise UsageError(
            f'{source} has none of the {len(own)} weights of this model; to '
            'load pre-trained weights into the backbone, use model.backbone.'
            "init_cfg=dict(type='Pretrained', checkpoint=FILE)"
        )
    parts = []
    for names, part in (
        (missing, 'is missing {}'),
        (mismatched, 'has a mismatched shape of {}'),
        (unexpected, 'has unexpected {}'),
    ):
        wrong = [
            name
            for name in names
            if not any(fnmatchcase(name, pattern) for pattern in allowed)
        ]
        if wrong:
            parts.append(part.format(first_few(wrong)))
    if parts:
        raise UsageError(
            f'{source} should have exactly the {len(own)} weights of this '
            f'model, but {", and ".join(parts)}: it was made with another '
            f'config; {advice}'
        )
    for name in mismatched:
        state.pop(name, None)
        state.pop(f'module.{name}', None)
