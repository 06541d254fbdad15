"""Write the config of a training from a folder of images."""

import argparse
import ast
import os
import os.path as osp
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

import mmdavpt
from mmdavpt.checks.names import own_variables
from mmdavpt.config_source import (
    find_variables,
    load_with_variables,
    replace_variables,
)
from mmdavpt.errors import UsageError, did_you_mean
from mmdavpt.models.pretrained import read_settings
from mmdavpt.registry import TUNERS

from .folder_layout import FolderLayout, read_layout
from .messages import CONFIGS, check_checkpoint_exists

#: Flags to the variables of the recommended configs that they set.
FLAGS = dict(
    method='method', size='size', batch='batch_size', epochs='max_epochs'
)


def write_config(args: argparse.Namespace) -> str:
    """Write the config of a folder, unless a run in progress has one.

    It is the recommended config of the task with the settings of the folder,
    the weights and the command line, and goes to ``WORK_DIR/NAME.py``. A
    split that is made here goes to lists next to it.

    Args:
        args (argparse.Namespace): The arguments of a training, whose
            ``config`` is a folder. Options that set a variable of the
            recommended config are removed, since the config has them.

    Returns:
        str: Path of the config.

    Raises:
        UsageError: If the weights, the folder or an option do not fit, or if
            the work folder has a run with another config.
    """
    name = osp.basename(osp.abspath(args.config))
    work_dir = Path(args.work_dir or osp.join('work_dirs', name))
    path = work_dir / f'{name}.py'
    options = args.cfg_options or {}
    if args.resume and path.is_file():
        _check_same(path, _given(args, options))
        return str(path)
    weights = _weights_settings(args)
    layout = read_layout(args.config, args.task, options.get('seed', 0))
    recommended = recommended_config(layout.task)
    own = own_variables(str(recommended))
    settings = dict(
        data_root=args.config,
        **{f'{split}_data': data for split, data in layout.data.items()},
        **layout.settings,
        **weights,
        **_given(args, {key: options[key] for key in own & options.keys()}),
    )
    if args.work_dir:
        settings['work_dir'] = args.work_dir
    _check_method(recommended, settings.get('method'))
    settings.update(_fitting_size(recommended, args.size, settings))
    source = recommended.read_text(encoding='utf-8')
    source = replace_variables(source, settings)
    files = {
        name: ''.join(f'{line}\n' for line in lines)
        for name, lines in layout.lists.items()
    }
    files[path.name] = _with_docstring(source, _describe(layout, args, path))
    _write(work_dir, path, files, replace=args.launcher in (None, 'none'))
    for key in own & options.keys():
        del options[key]
    _print_summary(layout, path)
    return str(path)
