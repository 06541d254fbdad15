"""Checks of config and weights before a run loads anything."""

import os.path as osp
from difflib import get_close_matches
from pathlib import Path

from mmdavpt.errors import UsageError

from .config.config_keys import walk

CONFIGS = Path(__file__).parents[2] / 'configs'


def is_local(path: str) -> bool:
    """Return whether a path is a place on this machine, and no address."""
    return '://' not in path


def check_config_exists(path: str) -> None:
    """Raise a sentence with similar names if a config file is missing.

    Args:
        path (str): Path of the config file.
    """
    if osp.isfile(path):
        return
    folder = Path(path).parent
    found = [p for p in folder.glob('*.py')] if folder.is_dir() else []
    found += [p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts]
    by_name = {p.name: p for p in reversed(found)}
    near = get_close_matches(Path(path).name, by_name, n=3, cutoff=0.5)
    hint = (
        'similar ones are '
        + ', '.join(osp.relpath(by_name[name]) for name in near)
        if near
        else f'the configs are in {osp.relpath(CONFIGS)}'
    )
    raise UsageError(f'the config {path} does not exist; {hint}')


def check_checkpoint_exists(path: str, use: str) -> None:
    """Raise a sentence if a checkpoint file is missing.

    Args:
        path (str): Path or address of the checkpoint.
        use (str): What it is for, as a noun phrase.
    """
    if not is_local(path) or osp.isfile(osp.expanduser(path)):
        return
    folder = Path(osp.expanduser(path)).parent
    found = (
        sorted(
            p.name
            for kind in ('*.pth', '*.safetensors')
            for p in folder.glob(kind)
        )
        if folder.is_dir()
        else []
    )
    hint = (
        f'its folder has {", ".join(found[:5])}'
        if found
        else f'its folder {folder} has no checkpoint'
    )
    raise UsageError(f'{use} {path} does not exist; {hint}')


def check_pretrained(model: dict) -> None:
    """Raise a sentence if pre-trained weights of a model are missing.

    Args:
        model (dict): The model's config.
    """
    for path, node in walk(model, 'model'):
        if node.get('type') == 'Pretrained' and is_local(node['checkpoint']):
            weights = node['checkpoint']
            if not osp.isfile(osp.expanduser(weights)):
                raise UsageError(
                    f'the pre-trained weights {weights} do not exist; '
                    'docs/weights.md says what can be loaded; to name '
                    'another file, use '
                    f'--cfg-options {path}.checkpoint=FILE'
                )
