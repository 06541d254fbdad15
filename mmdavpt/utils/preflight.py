"""Checks of files before a run loads anything."""
import os.path as osp
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from .config_keys import walk
from .errors import UsageError

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
    hint = ('similar ones are ' + ', '.join(
        osp.relpath(by_name[name]) for name in near)
            if near else f'the configs are in {osp.relpath(CONFIGS)}')
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
    found = sorted(p.name for kind in ('*.pth', '*.safetensors')
                   for p in folder.glob(kind)) if folder.is_dir() else []
    hint = (f'its folder has {", ".join(found[:5])}'
            if found else f'its folder {folder} has no checkpoint')
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
                    'docs/data.md says where they come from and how they are '
                    'converted; to name another file, use '
                    f'--cfg-options {path}.checkpoint=FILE')


def datasets_of(dataset: dict, path: str) -> Iterator[tuple[str, dict]]:
    """Yield the datasets inside wrappers, with their dotted paths.

    Args:
        dataset (dict): The config of a dataset or of a wrapper.
        path (str): Its path in the config.
    """
    if isinstance(dataset.get('dataset'), dict):
        yield from datasets_of(dataset['dataset'], f'{path}.dataset')
    elif isinstance(dataset.get('datasets'), (list, tuple)):
        for i, inner in enumerate(dataset['datasets']):
            yield from datasets_of(inner, f'{path}.datasets.{i}')
    else:
        yield path, dataset


def check_data(cfg: dict, splits: Sequence[str]) -> None:
    """Raise a sentence if a file or folder that a dataset names is missing.

    Args:
        cfg (dict): The config.
        splits (Sequence[str]): Out of 'train', 'val' and 'test'.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if loader is None:
            continue
        for path, dataset in datasets_of(loader['dataset'],
                                         f'{split}_dataloader.dataset'):
            for place in _places(dataset):
                if is_local(place) and not osp.exists(osp.expanduser(place)):
                    raise UsageError(
                        f'{path} reads {place}, which does not exist (looked '
                        f'in {Path.cwd()}); docs/data.md shows where the data '
                        'comes from and how it is laid out; to name another '
                        f'place, use --cfg-options {path}.data_root=FOLDER')


def _places(dataset: dict) -> Iterator[str]:
    """Yield the root of a dataset, then what it names below it."""
    root = dataset.get('data_root') or ''
    if root:
        yield root
    prefix = dataset.get('data_prefix') or {}
    below = list(prefix.values()) if isinstance(prefix, dict) else [prefix]
    for name in [*below, dataset.get('ann_file')]:
        if name:
            yield osp.join(root, name)
