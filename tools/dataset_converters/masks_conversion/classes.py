"""Decide which class each label becomes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from mmdavpt.errors import UsageError, did_you_mean, first_few

from .samples import IGNORED

#: Label of ignored pixels in label maps.
IGNORE_INDEX = 255


def choose_classes(
    labels: Iterable[str],
    counts: Mapping[str, int],
    classes: Sequence[str] | None = None,
    background: str | None = None,
    ignore: Sequence[str] = (),
    drop: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
) -> tuple[list[str], dict[str, int | None]]:
    """Choose the classes and the pixel value of each label.

    Args:
        labels (Iterable[str]): All labels, in the order of the classes.
        counts (Mapping[str, int]): How many shapes have each label; empty
            for masks.
        classes (Sequence[str], optional): The classes in order. Defaults to
            None: all labels.
        background (str, optional): Class of pixels without a shape, which is
            first unless ``classes`` has it. LabelMe's ``_background_``
            belongs to it. Defaults to None: these pixels are ignored.
        ignore (Sequence[str]): New names whose pixels are ignored, in which
            ``*`` stands for any text. Defaults to ().
        drop (Sequence[str]): New names whose shapes are left out, likewise.
            Defaults to ().
        rename (Mapping[str, str], optional): New names by label, likewise.
            Defaults to None.

    Returns:
        tuple[list[str], dict[str, int | None]]: The classes, and values by
        label; None for those left out.

    Raises:
        UsageError: If a label is unknown, an option matches no label, or
            there are too many classes.
    """
    labels = list(dict.fromkeys([*labels, *counts]))
    patterns = dict(rename or {})
    if background is not None:
        patterns.setdefault('_background_', background)
    names = {label: _rename(label, patterns) for label in labels}
    _matching('rename', rename or (), labels)
    ignored = {IGNORED, *_matching('ignore', ignore, names.values())}
    dropped = _matching('drop', drop, names.values())
    special = ignored | dropped
    kept = [n for n in dict.fromkeys(names.values()) if n not in special]
    if classes is not None:
        allowed = {*special, *classes, background}
        unknown = [
            f'{label} ({counts[label]} shapes)' if counts else label
            for label in labels
            if names[label] not in allowed
            and (counts.get(label) or not counts)
        ]
        if unknown:
            raise UsageError(
                f'--classes lacks {first_few(unknown, 9)}; add each there, or '
                'to --ignore, --drop or --rename'
            )
        kept = list(classes)
    if background in special:
        raise UsageError(
            f'{background!r} is the class of pixels without a shape; use '
            '--no-background to ignore them'
        )
    if background is not None and background not in (classes or ()):
        kept = [background, *(name for name in kept if name != background)]
    _check(kept, labels)
    index = {name: i for i, name in enumerate(kept)}
    index |= dict.fromkeys(ignored, IGNORE_INDEX)
    index |= dict.fromkeys(dropped)
    return kept, {label: index.get(name) for label, name in names.items()}


def _matching(
    option: str, patterns: Iterable[str], labels: Collection[str]
) -> set[str]:
    """Return the labels that match patterns, each of which must match."""
    found = set()
    for pattern in patterns:
        matches = [name for name in labels if fnmatchcase(name, pattern)]
        if not matches:
            raise UsageError(
                f'no label matches --{option} {pattern}'
                f'{did_you_mean(pattern, labels)}'
            )
        found.update(matches)
    return found


def _rename(label: str, patterns: Mapping[str, str]) -> str:
    found = (new for old, new in patterns.items() if fnmatchcase(label, old))
    return next(found, label)


def _check(classes: Sequence[str], labels: Sequence[str]) -> None:
    """Raise an error if the classes cannot be told apart or are too many."""
    if labels and not classes:
        raise UsageError('no label is left; there is nothing to convert')
    if len(classes) > IGNORE_INDEX:
        raise UsageError(
            f'{len(classes)} classes are too many for 8-bit label maps, which '
            f'have room for {IGNORE_INDEX}; choose some with --classes, or '
            'merge them with --rename'
        )
    folded: dict[str, str] = {}
    for name in classes:
        other = folded.setdefault(name.strip().casefold(), name)
        if classes.count(name) > 1 or other != name:
            raise UsageError(
                f'the classes {other!r} and {name!r} differ at most in case; '
                f"merge them with --rename '{name}={other}'"
            )
