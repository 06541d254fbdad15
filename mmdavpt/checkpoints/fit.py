"""Check that a state has exactly the weights of a model."""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from mmdavpt.errors import UsageError, first_few

from .tuned import FINGERPRINT, frozen_weights, resume_only

#: What to do about a mismatched state.
ADVICE = (
    'use the config and --cfg-options of its training, or list what may '
    'differ in `load_allowed` (a key of the config, such as --cfg-options '
    'load_allowed=head.*, or an attribute of the model)'
)

#: Prediction does not use the state of the guidance, so a guided checkpoint
#: can be tested unguided, and a run that does not resume makes its own
#: mapping.
GUIDANCE = 'guidance.*'


#: Weights by name.
Weights = Mapping[str, Tensor]
#: Missing names, unexpected names, and names with another shape.
Mismatch = tuple[list[str], list[str], list[str]]


def compare_weights(target: Weights, given: Weights) -> Mismatch:
    """Return the names in which weights differ from those of a model.

    Args:
        target (Weights): The state of the model.
        given (Weights): Names to tensors.
    """
    shapes = {n: getattr(value, 'shape', None) for n, value in given.items()}
    return (
        [name for name in target if name not in given],
        [name for name in given if name not in target],
        [n for n in given if n in target and shapes[n] != target[n].shape],
    )


def describe_mismatch(mismatch: Iterable[Sequence[str]]) -> str:
    """Return a clause about differing weights, empty if there are none.

    Args:
        mismatch (Iterable[Sequence[str]]): Names, as of
            :func:`compare_weights`.
    """
    missing, unexpected, mismatched = mismatch
    found = {
        'is missing': missing,
        'has a mismatched shape of': mismatched,
        'has unexpected': unexpected,
    }
    return ' and '.join(f'{k} {first_few(v)}' for k, v in found.items() if v)


def state_mismatch(model: nn.Module, state: Weights) -> Mismatch:
    """Return the names in which a state differs from a model.

    A tuned-only state may lack frozen weights: the model compares them by
    their fingerprint.

    Args:
        model (nn.Module): The model, without wrapper.
        state (Weights): Names to tensors; a leading 'module.'
            is ignored.
    """
    given = {k.removeprefix('module.'): value for k, value in state.items()}
    optional = set()
    if given.pop(FINGERPRINT, None) is not None:
        optional = resume_only(model) | frozen_weights(model).keys()
    missing, *others = compare_weights(model.state_dict(), given)
    needed = [n for n in missing if not n.endswith('num_batches_tracked')]
    return [name for name in needed if name not in optional], *others


def check_fit(
    model: nn.Module, state: dict, source: str, allowed: Sequence[str] = ()
) -> None:
    """Check that a state has exactly the weights of a model.

    Args:
        model (nn.Module): The model, without wrapper.
        state (dict): Names to tensors. Those with another shape are removed
            from it if they are allowed.
        source (str): Origin of the state, for the message.
        allowed (Sequence[str]): Patterns of names that may differ, such as
            ``'head.*'``. Defaults to ().

    Raises:
        UsageError: If a difference is not allowed.
    """
    mismatch = missing, _, mismatched = state_mismatch(model, state)
    own = model.state_dict()
    if not set(own) - {*missing, *mismatched}:
        raise UsageError(
            f'{source} has none of the {len(own)} weights of this model; to '
            'load pre-trained weights into the backbone, use model.backbone.'
            "init_cfg=dict(type='Pretrained', checkpoint=FILE)"
        )

    def refused(name: str) -> bool:
        return not any(fnmatchcase(name, pattern) for pattern in allowed)

    problems = describe_mismatch([*filter(refused, m)] for m in mismatch)
    if problems:
        raise UsageError(
            f'{source} should have exactly the {len(own)} weights of this '
            f'model, but {problems}: it was made with another config; {ADVICE}'
        )
    for name in mismatched:
        state.pop(name, None)
        state.pop(f'module.{name}', None)
