"""A finding of the data report."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A defect or an oddity of the data.

    Args:
        severity (str): 'error' if a training or a test would fail or give a
            wrong number, else 'warning'.
        kind (str): Identifier for programs, such as 'class_without_images'.
        split (str): 'train', 'val', 'test', or 'train and val' for what
            concerns both.
        sentence (str): What is wrong, what was expected, and what to do.
        files (tuple[str, ...]): The files concerned, first ones first.
            Defaults to ().
    """

    severity: str
    kind: str
    split: str
    sentence: str
    files: tuple[str, ...] = ()
