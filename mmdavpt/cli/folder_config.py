"""Write the config of a training from a folder of images."""

import argparse
import ast
import os
import os.path as osp
import shlex
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from mmdavpt import config_source
from mmdavpt.checks.names import own_variables
from mmdavpt.errors import UsageError, first_few, warn
from mmdavpt.models.pretrained import ASSUMED, read_settings
from mmdavpt.models.tuners import check_method

from .folder_layout import FolderLayout, find_task, read_layout

#: Flags to the variables of the recommended configs that they set.
FLAGS = dict(method='method', size='size', weights='weights')
FLAGS |= dict(batch='batch_size', epochs='max_epochs')


def write_config(args: argparse.Namespace, command: list[str]) -> str:
    """Write the config of a folder, unless a run to resume or check has one.

    It is the recommended config of the task with the settings of the folder,
    the weights and the command line: ``WORK_DIR/NAME.py``. A split that is
    made here is recorded in lists next to it.

    Args:
        args (argparse.Namespace): The arguments of a training, whose
            ``config`` is a folder. Options that set a variable of the
            recommended config move to the written one.
        command (list[str]): The arguments as typed.

    Returns:
        str: Path of the config.

    Raises:
        UsageError: If the weights, the folder or an option do not fit, or if
            the work folder has checkpoints of another config.
    """
    name = osp.basename(osp.abspath(args.config))
    work_dir = Path(args.work_dir or osp.join('work_dirs', name))
    path = work_dir / f'{name}.py'
    given = {v: getattr(args, flag) for flag, v in FLAGS.items()}
    given = {name: value for name, value in given.items() if value is not None}
    started = args.check_only and any(work_dir.glob('*.pth'))
    if (args.resume or started) and path.is_file():
        _check_same(path, given)
        return str(path)
    only_data = getattr(args, 'data_only', False)
    if only_data:  # a training writes its own config, with its weights
        path = work_dir / 'data_report' / f'{name}.py'
    task = args.task or find_task(args.config)
    recommended = config_source.RECOMMENDED / f'{task}.py'
    options = args.cfg_options or {}
    own = own_variables(str(recommended)) & options.keys()
    given = {key: options.pop(key) for key in own} | given
    cfg = Config.fromfile(recommended)
    check_method(given.get('method', cfg.method), cfg.methods, '--method')
    layout = read_layout(args.config, task, given.get('seed', cfg.seed))
    _check_outside(work_dir, args.config, layout)
    settings = {} if only_data else _weights_settings(args, cfg)
    patch = settings.get('patch_size', 1)
    size = _fitting_size(given.get('size'), cfg.size, patch)
    settings |= dict(layout.settings, data_root=osp.normpath(args.config))
    settings |= {f'{split}_data': d for split, d in layout.data.items()}
    settings |= given | dict(size=size)
    if args.work_dir:
        settings['work_dir'] = args.work_dir
    files = {n: '\n'.join([*v, '']) for n, v in layout.lists.items()}
    source = recommended.read_text('utf-8')
    source = config_source.replace_variables(source, settings)
    docstring = _describe(layout, args.config, path, command)
    files[path.name] = _with_docstring(source, docstring)
    _write(path, files, alone=args.launcher in (None, 'none'))
    _announce(layout, path)
    return str(path)


def _announce(layout: FolderLayout, path: Path) -> None:
    """Print what was found, on rank 0."""
    if value_map := layout.settings.get('value_map'):
        pairs = ', '.join(f'{v}: {k}' for v, k in value_map.items())
        warn(
            f'the values of the masks become classes ({pairs}); if these are '
            'wrong, change `value_map` in the config'
        )
    if os.environ.get('RANK', '0') == '0':
        print(f'{_count(layout)}; settings in {path}', flush=True)


def _settings_of(source: str) -> dict[str, str]:
    """Return the expressions of the variables of a config."""
    variables = config_source.find_variables(source)
    return {name: ast.unparse(value) for name, value in variables.items()}


def _check_same(path: Path, given: Mapping[str, object]) -> None:
    """Check that options agree with the config that a run resumes with."""
    settings = _settings_of(path.read_text(encoding='utf-8'))
    for name, value in given.items():
        if settings.get(name, repr(value)) != repr(value):
            raise UsageError(
                f'{path} is the config of this run, where {name} is '
                f'{settings[name]}, not {value!r}; omit the option, or choose '
                'another --work-dir'
            )


def _check_outside(work_dir: Path, folder: str, layout: FolderLayout) -> None:
    """Check that the work folder does not become a class of the data."""
    inside = work_dir.resolve().is_relative_to(osp.realpath(folder))
    if inside and layout.data['train']['data_prefix'] == '':
        raise UsageError(
            f'{work_dir} would become a class of {folder}, which has a '
            'folder for each; choose another --work-dir'
        )


def _weights_settings(args: argparse.Namespace, cfg: Config) -> dict:
    """Return the variables that follow from the weights."""
    arch, by_name = args.arch, isinstance(args.arch, str)
    if by_name and arch not in cfg.archs:
        raise UsageError(
            f'--arch should be one of {", ".join(cfg.archs)}, but is {arch}; '
            'for other sizes, name only --weights'
        )
    weights = args.weights or cfg.dinov2[arch if by_name else cfg.arch]
    stated = dict(cfg.archs[arch] if by_name else arch or {})
    found = read_settings(weights, stated)
    if stated.items() - found.arch.items():
        raise UsageError(
            f'--arch {arch} does not fit {weights}, which has '
            f'{found.arch["num_layers"]} layers of '
            f'{found.arch["embed_dims"]} channels with '
            f'{found.arch["num_heads"]} heads; omit --arch'
        )
    if found.normalization is None:
        warn(ASSUMED.format(weights, 'ImageNet'))
    return dict(found.variables(cfg.archs), weights=weights)


def _fitting_size(given: int | None, default: int, patch: int) -> int:
    """Return the size of images, a multiple of the patches' size."""
    size = given or default
    nearest = max(1, round(size / patch)) * patch
    if given is not None and given != nearest:
        raise UsageError(
            f'--size should be a multiple of {patch}, the size of the '
            f"weights' patches, such as {nearest}, but is {given}"
        )
    return nearest


def _count(layout: FolderLayout) -> str:
    """Return the number of classes, and of images of each split."""
    validate = 'validate' if 'test' in layout.images else 'validate and test'
    verbs = dict(train='images train', val=validate, test='test')
    splits = [split for split in verbs if split in layout.images]
    counts = [f'{layout.images[split]} {verbs[split]}' for split in splits]
    return f'{len(layout.settings["classes"])} classes; {", ".join(counts)}'


def _describe(
    layout: FolderLayout, folder: str, path: Path, command: list[str]
) -> str:
    """Return the docstring of a config."""
    dropped = ('--resume', '--check-only', '--no-check')
    typed = shlex.join(c for c in command if c not in dropped)
    split = f'Split: {" and ".join(layout.lists)}, drawn at random\n'
    split *= bool(layout.lists)
    return (
        f'Train on {folder}: {_count(layout)}.\n\n'
        f'Written by: mmdavpt train {typed}\n'
        f'Command: mmdavpt train {path}\n'
        '    trains again, with any settings that you change below; --resume\n'
        '    continues, and mmdavpt test tests a checkpoint.\n'
        f'{split}'
    )


def _with_docstring(source: str, docstring: str) -> str:
    """Return the source of a config with another docstring."""
    old = ast.get_docstring(ast.parse(source), clean=False)
    escaped = docstring.replace('\\', '\\\\').replace('"', '\\"')
    return source.replace(old, escaped, 1)


def _changes(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Return the variables and lists in which files of a folder differ."""
    changes = []
    for name, text in files.items():
        path = folder / name
        old = path.read_text(encoding='utf-8') if path.is_file() else text
        if path.suffix == '.py':
            old, text = _settings_of(old), _settings_of(text)
            changes += [n for n in old | text if old.get(n) != text.get(n)]
        elif old != text:
            changes.append(name)
    return changes


def _write(path: Path, files: Mapping[str, str], alone: bool) -> None:
    """Write a config and its lists, but not over those of a run.

    Several processes may write the same files at the same time.

    Args:
        path (Path): The config.
        files (Mapping[str, str]): Names to contents, with that of the config.
        alone (bool): Whether this is the only process.
    """
    changes = _changes(path.parent, files) if path.is_file() else []
    if changes and (any(path.parent.glob('*.pth')) or not alone):
        raise UsageError(
            f'{path} belongs to a run with other settings '
            f'({first_few(changes)}); continue it with --resume, or choose '
            'another --work-dir'
        )
    if changes:
        kept = path.with_suffix('.old.py')
        os.replace(path, kept)
        warn(
            f'{path} had other settings ({first_few(changes)}), but no '
            f'checkpoint; it is now {kept.name}'
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if name == path.name and path.is_file():
            continue  # with the same settings, and perhaps other comments
        partial = path.parent / f'{name}.{os.getpid()}'
        partial.write_text(text, encoding='utf-8')
        os.replace(partial, path.parent / name)
