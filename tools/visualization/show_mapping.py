"""Print and draw which classes share a prompt in one or more checkpoints.

    python tools/visualization/show_mapping.py \
        work_dirs/davpt_glyphs/epoch_1.pth work_dirs/davpt_glyphs/epoch_20.pth

With several checkpoints, classes that changed their prompt are coloured.
"""

import argparse
import os.path as osp
from typing import List, NamedTuple, Optional, Sequence

import numpy as np

from mmdavpt.checkpoints import read_run_checkpoint
from mmdavpt.cli.messages import exit_with_sentence
from mmdavpt.visualization import draw_mapping, moved_classes, prompt_groups


class SavedMapping(NamedTuple):
    """The mapping of a checkpoint, and the names of its classes if saved."""

    mapping: np.ndarray
    num_prompts: int
    class_names: Optional[Sequence[str]]


def read_mapping(path: str) -> SavedMapping:
    """Read the mapping of a guided model from its checkpoint.

    Args:
        path (str): The checkpoint.

    Returns:
        SavedMapping: What was found.

    Raises:
        ValueError: If the checkpoint holds no mapping, or it was never set.
    """
    checkpoint = read_run_checkpoint(path)
    state = checkpoint.get('state_dict', checkpoint)
    # A model saved from inside a wrapper has its keys one level deeper.
    keys = [k for k in state if f'.{k}'.endswith('.guidance.mapping')]
    if len(keys) != 1:
        raise ValueError(
            f'{path} should hold one `guidance.mapping`, but holds '
            f'{len(keys)}: is it the checkpoint of a guided model?'
        )
    mapping = state[keys[0]].cpu().numpy()
    if (mapping < 0).all():
        raise ValueError(
            f'the mapping in {path} was never set: PromptMappingHook sets it '
            'when training starts'
        )
    centroids = state.get(keys[0].removesuffix('mapping') + 'centroids')
    num_prompts = (
        int(mapping.max()) + 1 if centroids is None else len(centroids)
    )
    names = checkpoint.get('meta', {}).get('dataset_meta') or {}
    return SavedMapping(mapping, num_prompts, names.get('classes'))


def class_names_from(
    text: Optional[str], saved: Optional[Sequence[str]], num_classes: int
) -> Sequence[str]:
    """Choose the names of the classes.

    Args:
        text (str, optional): Names with commas between them, or one character
            a class.
        saved (Sequence[str], optional): The names in the checkpoint.
        num_classes (int): The number of classes ``K``.

    Raises:
        ValueError: If ``text`` does not hold ``K`` names.
    """
    if text is None:
        return saved or [str(k) for k in range(num_classes)]
    names = [n.strip() for n in text.split(',')] if ',' in text else list(text)
    if len(names) != num_classes:
        raise ValueError(
            f'--classes should name {num_classes} classes, but '
            f'names {len(names)}'
        )
    return names


def describe(
    class_names: Sequence[str], mapping: np.ndarray, num_prompts: int
) -> List[str]:
    """Return one line for each prompt, and one for classes without."""
    lines = []
    for p, classes in enumerate(prompt_groups(mapping, num_prompts)):
        names = ' '.join(class_names[k] for k in classes) or '(unassigned)'
        lines.append(f'prompt {p:3d}: {names}')
    without = ' '.join(class_names[k] for k in np.flatnonzero(mapping == -1))
    return lines + ([f'no prompt : {without}'] if without else [])


def parse_args(argv=None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'checkpoints', nargs='+', help='checkpoints of one model, in order'
    )
    parser.add_argument(
        '--classes',
        help='names of the classes with commas between them, or one character '
        'a class (default: the names in the checkpoint)',
    )
    parser.add_argument('--out', help='picture to draw, such as mapping.png')
    return parser.parse_args(argv)


def main(argv=None) -> None:
    """Print the mapping of each checkpoint; draw all of them."""
    args = parse_args(argv)
    saved = [read_mapping(path) for path in args.checkpoints]
    numbers = [len(one.mapping) for one in saved]
    if len(set(numbers)) > 1:
        raise ValueError(
            'the checkpoints should be of one model, but they have '
            f'{numbers} classes; show them one by one'
        )
    names = class_names_from(
        args.classes, saved[0].class_names, len(saved[0].mapping)
    )
    for i, (path, one) in enumerate(zip(args.checkpoints, saved, strict=True)):
        print(path)
        print('\n'.join(describe(names, one.mapping, one.num_prompts)))
        if i:
            moved = moved_classes(saved[i - 1].mapping, one.mapping)
            print(
                f'{len(moved)} classes changed their prompt: '
                f'{" ".join(names[k] for k in moved)}'
            )
    if args.out:
        titles = [
            osp.splitext(osp.basename(path))[0] for path in args.checkpoints
        ]
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
