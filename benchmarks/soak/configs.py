"""Mutate configs at random: each must end in one sentence, or train."""

import argparse
import copy
import io
import json
import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmdavpt.cli import common as cli
from mmdavpt.cli.messages import exit_with_sentence
from mmdavpt.cli.train import train as train_config
from tests import toy

from . import isolated
from .isolated import NotKept, try_cases
from .report import Report

#: Replacements of a value, in addition to its neighbours.
VALUES = (
    None,
    True,
    False,
    -1,
    0,
    1,
    3,
    1000,
    0.5,
    -0.1,
    float('nan'),
    float('inf'),
    '',
    'x',
    'mmdavpt.Gone',
    [],
    [1],
    [3, -1],
    (0, 9),
    {},
    dict(type='x'),
    dict(a=1),
)

#: Outcomes of a run with a damaged config that keep the guarantee.
SENTENCE = 'one sentence, the traceback only in the log'
WARNS = 'trains with a warning that names the key'
TRAINS = 'trains'
#: The state of :func:`main`, so that a stopped run continues.
STATE = Path(tempfile.gettempdir()) / 'soak_configs.json'
RESULTS = Path(__file__).parents[1] / 'results/soak_configs.json'

#: How many iterations show that a training runs.
ENOUGH = 3


class EnoughHook(Hook):
    """End a training once it runs."""

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        """Raise once the training runs."""
        if runner.iter + 1 >= ENOUGH:
            raise EndedEarly


class EndedEarly(Exception):
    """The training runs, and need not go further."""


def furnish(cfg: dict) -> None:
    """Add optional keys, so that they are damaged too.

    Args:
        cfg (dict): A config of :mod:`tests.toy`, changed in place.
    """
    by_epoch = cfg['train_cfg']['by_epoch']
    segments = cfg['default_scope'] == 'mmseg'
    cfg.update(
        env_cfg=dict(cudnn_benchmark=False, mp_cfg=dict(opencv_num_threads=0)),
        load_from=None,
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2),
            dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=by_epoch),
        ],
        visualizer=dict(
            type='SegLocalVisualizer' if segments else 'UniversalVisualizer',
            vis_backends=[dict(type='LocalVisBackend')],
        ),
    )
    cfg['default_hooks'].update(
        timer=dict(type='IterTimerHook'),
        param_scheduler=dict(type='ParamSchedulerHook'),
    )
    cfg['optim_wrapper']['optimizer']['weight_decay'] = 0.01
    cfg['optim_wrapper'].update(
        type='OptimWrapper',
        constructor='mmdavpt.TrainableOptimWrapperConstructor',
        clip_grad=dict(max_norm=1.0, norm_type=2),
        paramwise_cfg=dict(
            norm_decay_mult=0.0, custom_keys=dict(prompts=dict(lr_mult=2.0))
        ),
    )
    cfg['train_dataloader'].update(
        collate_fn=dict(type='pseudo_collate'),
        drop_last=True,
        pin_memory=False,
    )
    cfg['train_dataloader']['dataset']['pipeline'].insert(
        0, dict(type='RandomFlip', prob=0.5, direction='horizontal')
    )
    if segments:
        cfg['model']['test_cfg'] = dict(
            mode='slide', crop_size=(32, 32), stride=(16, 16)
        )
    else:
        cfg['model']['head']['init_cfg'] = dict(
            type='Normal', layer='Linear', std=0.01
        )
        cfg['model']['data_preprocessor']['to_rgb'] = True


def places(node: Any, path: tuple = ()) -> list[tuple]:
    """Return the paths of all values of a nested config."""
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, list):
        children = list(enumerate(node))
    else:
        return []
    return [
        place
        for key, child in children
        for place in [(*path, key), *places(child, (*path, key))]
    ]


def parent_of(cfg: dict, path: tuple) -> Any:
    """Return the dict or list that holds a value."""
    for key in path[:-1]:
        cfg = cfg[key]
    return cfg


def rename(rng: random.Random, cfg: dict) -> str:
    """Misspell a key: silent only for names that the user chooses."""
    keys = [
        p
        for p in places(cfg)
        if isinstance(p[-1], str) and p[-2:-1] != ('custom_keys',)
    ]
    path = rng.choice(keys)
    old, node = path[-1], parent_of(cfg, path)
    at = rng.randrange(len(old))
    new = rng.choice(
        [old[:at] + old[at + 1 :], old + old[-1], old[:at] + 'q' + old[at:]]
    )
    if new in node or not new:
        new = f'{old}_q'
    node[new] = node.pop(old)
    return f'{".".join(map(str, path))} is called {new}'


def add(rng: random.Random, cfg: dict) -> str:
    """Add a key that nothing reads: silent only for variables."""
    dicts = [
        p
        for p in places(cfg)
        if isinstance(_get(cfg, p), dict) and p[-1] != 'custom_keys'
    ]
    path = rng.choice(dicts)
    _get(cfg, path)['unread_key'] = rng.choice(VALUES)
    return f'{".".join(map(str, path))} has unread_key'


def remove(rng: random.Random, cfg: dict) -> str:
    """Leave out a key."""
    path = rng.choice(places(cfg))
    del parent_of(cfg, path)[path[-1]]
    return f'{".".join(map(str, path))} is gone'


def change(rng: random.Random, cfg: dict) -> str:
    """Give a key another value."""
    path = rng.choice(places(cfg))
    node, old = parent_of(cfg, path), _get(cfg, path)
    near = [old]
    if isinstance(old, (int, float)) and not isinstance(old, bool):
        near = [old + 1, old - 1, -old, old * 2, str(old), [old]]
    new = copy.deepcopy(rng.choice([*VALUES, *near, *near]))
    node[path[-1]] = new
    return f'{".".join(map(str, path))} = {new!r} instead of {old!r:.60}'


def move(rng: random.Random, cfg: dict) -> str:
    """Put the value of one key into another."""
    source, target = rng.choice(places(cfg)), rng.choice(places(cfg))
    value = copy.deepcopy(_get(cfg, source))
    parent_of(cfg, target)[target[-1]] = value
    return f'{".".join(map(str, target))} = {value!r:.80}'


def _get(cfg: Any, path: tuple) -> Any:
    for key in path:
        cfg = cfg[key]
    return cfg


def damage(rng: random.Random, text: str) -> str:
    """Damage the text of a config file."""
    at = rng.randrange(len(text))
    return rng.choice(
        [
            text[:at],
            text[:at] + text[at + rng.randint(1, 9) :],
            text[:at] + rng.choice('()[]{},=\'"\\\n\0#:x9é') + text[at:],
            f"_base_ = './{at}.py'\n{text}",
            text + '\n1 / 0\n',
        ]
    )


#: Kinds of damage, and whether a run may silently ignore each.
MUTATIONS: tuple[tuple[Callable, bool], ...] = (
    (rename, False),
    (add, False),
    (remove, True),
    (change, True),
    (change, True),
    (change, True),
    (move, True),
)


def config_text(cfg: dict) -> str:
    """Return the source of a config file."""
    head = "nan, inf = float('nan'), float('inf')\n"
    return head + ''.join(f'{key} = {value!r}\n' for key, value in cfg.items())


def case(seed: int) -> str:
    """Damage one config and try to train with it.

    Args:
        seed (int): Seed of the damage.

    Returns:
        str: The outcome.

    Raises:
        NotKept: If it neither ends in a sentence nor trains, or if it trains
            with a key that nothing reads.
    """
    rng = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix='configs_'))
    try:
        return _case(rng, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        DefaultScope._instance_dict.clear()
        for logger in MMLogger._instance_dict.values():
            for handler in logger.handlers:
                handler.close()
        MMLogger._instance_dict.clear()


def _case(rng: random.Random, folder: Path) -> str:
    make = rng.choice([toy.classification, toy.segmentation])
    cfg = make(folder / 'run')
    cfg['custom_hooks'].insert(0, dict(type='mmdavpt.TrainingCheckHook'))
    if rng.random() < 0.5:
        furnish(cfg)
    path = folder / 'config.py'
    if rng.random() < 0.1:
        text = damage(rng, config_text(cfg))
        done, may_run = ['the text is damaged'], True
    else:
        done, may_run = [], True
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            mutation, silent = rng.choice(MUTATIONS)
            done.append(mutation(rng, cfg))
            may_run = may_run and silent
        text = config_text(cfg)
    path.write_text(text, encoding='utf-8')
    terminal = io.StringIO()
    try:
        with redirect_stderr(terminal), redirect_stdout(terminal):
            with exit_with_sentence():
                train(path)
    except SystemExit:
        lines = terminal.getvalue().splitlines()
        if 'error: ' not in lines[-1] or 'Traceback' in terminal.getvalue():
            raise NotKept(f'{done}: no sentence: {lines[-5:]}') from None
        return SENTENCE
    except EndedEarly:
        pass
    except Exception as error:  # the promise that is tested
        frames = traceback.extract_tb(error.__traceback__)
        places = [f'{f.filename}:{f.lineno}' for f in frames[-2:]]
        raise NotKept(
            f'{done}: {type(error).__name__}: {str(error)[:300]} ({places})'
        ) from error
    if may_run or len(done) > 1:
        return TRAINS
    if 'warning: ' in terminal.getvalue():
        return WARNS
    raise NotKept(f'{done}: silent')


def train(path: Path) -> None:
    """Do what ``tools/train.py`` does, for a few iterations.

    Args:
        path (Path): The config file.
    """
    args = argparse.Namespace(
        launcher=None,
        work_dir=str(path.parent / 'run'),
        config=str(path),
        local_rank=0,
        no_check=False,
        check_only=False,
    )
    build = cli.build_runner

    def build_short(cfg: Config, training: bool) -> Runner:
        runner = build(cfg, training)
        runner.register_hook(EnoughHook(), priority='LOWEST')
        return runner

    with patch.object(cli, 'build_runner', build_short):
        train_config(cli.load_config(str(path)), args)


def run(count: int, seed: int, deadline: float) -> Report:
    """Damage many configs.

    Args:
        count (int): How many.
        seed (int): The first seed.
        deadline (float): When to end at the latest, of ``time.monotonic``.

    Returns:
        Report: The outcomes.
    """
    torch.set_num_threads(1)
    return try_cases('configs', case, count, seed, deadline)


def main(count: int = 2000, chunk: int = 50) -> None:
    """Damage many configs, and write the outcomes.

    Args:
        count (int): How many. Defaults to 2000.
        chunk (int): After how many the state is saved. Defaults to 50.
    """
    isolated.LIMIT = 300.0  # a damaged size may make images large
    state = dict(done=0, outcomes={}, failures={})
    if STATE.is_file():
        state = json.loads(STATE.read_text())
    while state['done'] < count:
        report = run(chunk, state['done'], time.monotonic() + 3600)
        state['done'] += report.count
        outcomes = Counter(state['outcomes']) + report.outcomes
        failures = {str(f.seed): f.what for f in report.failures}
        state.update(outcomes=outcomes)
        state['failures'].update(failures)
        STATE.write_text(json.dumps(state))
        print(state['done'], dict(outcomes), *failures.items(), flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(state, indent=1) + '\n')


if __name__ == '__main__':
    main()
