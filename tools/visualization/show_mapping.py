"""Print and draw which classes share a prompt in one or more checkpoints.

    python tools/visualization/show_mapping.py \
        work_dirs/davpt_glyphs/epoch_1.pth work_dirs/davpt_glyphs/epoch_20.pth

With several checkpoints, classes that changed their prompt are coloured.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from mmdavpt.cli import options  # noqa: E402


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this tool."""
    parser.add_argument(
        'checkpoints',
        nargs='+',
        type=options.existing_path,
        help='checkpoints of one model, in order',
    )
    parser.add_argument(
        '--classes',
        help='names of the classes separated by commas, or one character per '
        'class; by default the names in the checkpoint',
    )
    parser.add_argument('--out', help='picture to draw, such as mapping.png')


if __name__ == '__main__':
    options.parse_arguments(add_arguments)  # answer before slow imports

import numpy as np  # noqa: E402
from matplotlib import rc_context  # noqa: E402

from mmdavpt.checkpoints import read_run_checkpoint  # noqa: E402
from mmdavpt.cli.messages import exit_with_sentence  # noqa: E402
from mmdavpt.visualization import mapping_figure  # noqa: E402
from tools.visualization.figures import (  # noqa: E402
    readable_names,
    save_figure,
)


def prompt_groups(
    mapping: Sequence[int], num_prompts: int | None = None
) -> list[list[int]]:
    """Group classes by their prompt.

    Args:
        mapping (Sequence[int]): The prompt of each class, with shape (K, );
            -1 for a class without a prompt.
        num_prompts (int, optional): The number of prompts ``P``. Defaults to
            None: up to the highest in the mapping.

    Returns:
        list[list[int]]: The classes of each prompt, in order; an unassigned
        prompt has none.

    Raises:
        ValueError: If the mapping leaves [-1, P).
    """
    mapping = np.asarray(mapping)
    if num_prompts is None:
        num_prompts = int(mapping.max()) + 1
    if mapping.min() < -1 or mapping.max() >= num_prompts:
        raise ValueError(
            f'a mapping to {num_prompts} prompts should lie in '
            f'[-1, {num_prompts}), but got values from {int(mapping.min())} '
            f'to {int(mapping.max())}'
        )
    return [np.flatnonzero(mapping == p).tolist() for p in range(num_prompts)]


def draw_mapping(
    class_names: Sequence[str],
    mappings: Sequence[tuple[str, Sequence[int]]],
    path: str,
    num_prompts: int = 0,
) -> None:
    """Draw :func:`.mapping_figure` into the file ``path``."""
    names, families = readable_names(class_names)
    with rc_context({'font.family': families}):
        figure = mapping_figure(names, mappings, num_prompts=num_prompts)
        save_figure(figure, path)


class SavedMapping(NamedTuple):
    """The mapping of a checkpoint, and its class names if it has them."""

    mapping: np.ndarray
    num_prompts: int
    class_names: Sequence[str] | None


def read_mapping(path: str) -> SavedMapping:
    """Read the mapping of a guided model from its checkpoint.

    Args:
        path (str): The checkpoint.

    Raises:
        ValueError: If the checkpoint has no mapping, or it was never set.
    """
    checkpoint = read_run_checkpoint(path)
    state = checkpoint.get('state_dict', checkpoint)
    # A model saved inside a wrapper has a prefix.
    keys = [k for k in state if f'.{k}'.endswith('.guidance.mapping')]
    if len(keys) != 1:
        raise ValueError(
            f'{path} should have one `guidance.mapping`, but has {len(keys)}; '
            'use the checkpoint of a guided model'
        )
    mapping = state[keys[0]].cpu().numpy()
    if (mapping < 0).all():
        raise ValueError(
            f'the mapping in {path} was never set; PromptMappingHook sets it '
            'when training starts'
        )
    centroids = state.get(keys[0].removesuffix('mapping') + 'centroids')
    num_prompts = (
        int(mapping.max()) + 1 if centroids is None else len(centroids)
    )
    meta = checkpoint.get('meta', {}).get('dataset_meta') or {}
    return SavedMapping(mapping, num_prompts, meta.get('classes'))


def choose_class_names(
    text: str | None, saved: Sequence[str] | None, num_classes: int
) -> Sequence[str]:
    """Return the names of the classes.

    Args:
        text (str, optional): Names separated by commas, or one character per
            class.
        saved (Sequence[str], optional): The names in the checkpoint.
        num_classes (int): The number of classes ``K``.

    Raises:
        ValueError: If ``text`` does not have ``K`` names.
    """
    if text is None:
        return saved or [str(k) for k in range(num_classes)]
    names = [n.strip() for n in text.split(',')] if ',' in text else list(text)
    if len(names) != num_classes:
        raise ValueError(
            f'--classes should name {num_classes} classes, but names '
            f'{len(names)}'
        )
    return names


def describe(saved: SavedMapping, names: Sequence[str]) -> list[str]:
    """Return one line per prompt, and one for classes without a prompt."""
    lines = []
    for p, group in enumerate(prompt_groups(saved.mapping, saved.num_prompts)):
        classes = ' '.join(names[k] for k in group) or '(unassigned)'
        lines.append(f'prompt {p:3d}: {classes}')
    without = np.flatnonzero(saved.mapping == -1)
    if len(without):
        lines.append(f'no prompt : {" ".join(names[k] for k in without)}')
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Print the mapping of each checkpoint; draw them with ``--out``."""
    args = options.parse_arguments(add_arguments, argv)
    saved = [read_mapping(path) for path in args.checkpoints]
    numbers = [len(one.mapping) for one in saved]
    if len(set(numbers)) > 1:
        raise ValueError(
            'the checkpoints should be of one model, but they have '
            f'{numbers} classes; show them one by one'
        )
    names = choose_class_names(args.classes, saved[0].class_names, numbers[0])
    for i, (path, one) in enumerate(zip(args.checkpoints, saved, strict=True)):
        print('\n'.join([path, *describe(one, names)]))
        if i:
            moved = np.flatnonzero(saved[i - 1].mapping != one.mapping)
            print(
                f'{len(moved)} classes changed their prompt: '
                f'{" ".join(names[k] for k in moved)}'
            )
    if args.out:
        titles = [Path(path).stem for path in args.checkpoints]
        draw_mapping(
            names,
            [(t, s.mapping) for t, s in zip(titles, saved, strict=True)],
            args.out,
            num_prompts=max(s.num_prompts for s in saved),
        )
        print(f'picture: {args.out}')


if __name__ == '__main__':
    with exit_with_sentence(ValueError, FileNotFoundError):
        main()
