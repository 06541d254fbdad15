"""Build the parts of a run in the runner's order, without weights or data."""

import copy
import io
import os.path as osp
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader, Dataset

from mmdavpt.errors import UsageError
from mmdavpt.randomness import isolated_randomness

from .config_errors import describe, path_of
from .introspection import arguments_of, find_types, walk

#: Key that each loop needs in addition to its dataloader and its config.
LOOPS = dict(train='optim_wrapper', val='val_evaluator', test='test_evaluator')
#: Number of full batches that a loader pretends to have.
BATCHES = 10
#: A separate name, since visualizers are singletons by name.
NAME = 'preflight'


class DryRunner(Runner):
    """A runner that builds its parts, but writes and loads nothing.

    Parameters of its model are on the meta device, and its datasets are not
    read: loaders count :data:`BATCHES` batches, and a part of another one.

    Args:
        cfg (Config): The merged config. It is copied.
        training (bool): Whether the run is a training, not a test.

    Raises:
        UsageError: If a part cannot be built.
    """

    def __init__(self, cfg: Config, training: bool) -> None:
        self.cfg = cfg = copy.deepcopy(cfg)
        self.logger = MMLogger.get_current_instance()
        self._experiment_name, self._log_dir = NAME, None
        self._seed, self._world_size = 0, 1
        self._distributed, self._randomness_cfg = False, {}
        self._hooks, self.schedules = [], []
        self.model = self.optim_wrapper = self.param_schedulers = None
        for split in LOOPS:
            setattr(self, f'_{split}_loop', None)
            for part in (f'{split}_dataloader', f'{split}_evaluator'):
                setattr(self, f'_{part}', cfg.get(part))
        _check_parts(cfg, training)
        self._nodes, self._path = list(walk(cfg._cfg_dict)), ''
        with quietly(cfg):
            try:
                self._build_common(cfg)
                if training:
                    self._build_training(cfg)
                else:
                    self._path = 'test_cfg'
                    self._test_loop = self.build_test_loop(cfg.test_cfg)
            except Exception as error:
                why = describe(error, self._nodes, self._path)
                raise UsageError(f'the config cannot be run: {why}') from error

    def _build_common(self, cfg: Config) -> None:
        self._path = 'log_processor'
        self.build_log_processor(cfg.get('log_processor') or {})
        self._path = 'visualizer'
        node = cfg.get('visualizer') or dict(type='Visualizer')
        self.visualizer = self.build_visualizer(dict(node, name=NAME))
        self._path = 'model'
        self.model = self._build_empty_model(cfg)
        self._path = 'default_hooks'
        self.register_default_hooks(cfg.get('default_hooks'))
        self.default_hooks = list(self._hooks)
        self._path = 'custom_hooks'
        self.register_custom_hooks(cfg.get('custom_hooks') or [])
        type(self.visualizer)._instance_dict.pop(NAME, None)

    def _build_training(self, cfg: Config) -> None:
        self._path = 'train_cfg'
        self._train_loop = self.build_train_loop(cfg.train_cfg)
        if self.model is not None:
            self._path = 'optim_wrapper'
            wrapper = _without_amp(cfg.optim_wrapper)
            self.optim_wrapper = self.build_optim_wrapper(wrapper)
            self.scale_lr(self.optim_wrapper, cfg.get('auto_scale_lr'))
        given = cfg.get('param_scheduler')
        if given and isinstance(self.optim_wrapper, OptimWrapper):
            self._path = 'param_scheduler'
            self._build_schedules(given)
        if cfg.get('val_cfg') is not None:
            self._path = 'val_cfg'
            self._val_loop = self.build_val_loop(cfg.val_cfg)

    def _build_schedules(self, given: dict | list) -> None:
        self._check_scheduler_cfg(given)
        nodes = [('param_scheduler', given)]
        if not isinstance(given, dict):
            nodes = [(f'param_scheduler.{i}', n) for i, n in enumerate(given)]
        for path, node in nodes:
            total, begin = self.length_for(node), node.get('begin', 0)
            if total is not None and begin >= total:
                self._path = path
                raise UsageError(
                    f'{node["type"]} begins at {begin}, but the training ends '
                    f'at {total}; train longer, or set `begin` and `end` of '
                    'the schedules to fit'
                )
        built = self.param_schedulers = self.build_param_scheduler(given)
        if isinstance(built, list):  # and not of several optimizers
            self.schedules = [
                (*pair, one) for pair, one in zip(nodes, built, strict=True)
            ]

    def _build_empty_model(self, cfg: Config) -> torch.nn.Module | None:
        if cfg.get('data_preprocessor') is not None:
            cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
        try:
            with _EmptyOnMeta():
                return self.build_model(cfg.model).to('meta')
        except Exception as e:
            values = re.search(r'\bmeta\b', str(e), re.IGNORECASE)
            if not values and not isinstance(e, OSError):
                raise
        return None  # it needs the values of its weights

    def build_dataloader(
        self, dataloader: dict, seed: int | None = None, **kwargs
    ) -> DataLoader:
        """Build a loader that counts instead of reading its data.

        Args:
            dataloader (dict): The config of the loader.
            seed (int, optional): See :meth:`Runner.build_dataloader`.
                Defaults to None.
            **kwargs: See there.
        """
        given = dict(dataloader)
        self._path = path_of(dataloader, self._nodes) or self._path
        if given.get('persistent_workers') and not given.get('num_workers'):
            raise UsageError(
                'persistent_workers=True needs workers; set '
                'persistent_workers=False, or num_workers to 1 or more'
            )
        dataset = build_unread(given['dataset'])
        batch = given.get('batch_size')
        count = BATCHES * batch if isinstance(batch, int) else BATCHES
        given['dataset'] = _Counted(dataset, count + (count > BATCHES))
        Runner.build_dataloader(given, seed=seed, **kwargs)
        # An iterator of mmengine's loops would start the workers.
        for key in ('num_workers', 'persistent_workers', 'prefetch_factor'):
            given.pop(key, None)
        return Runner.build_dataloader(dict(given, timeout=0), seed, **kwargs)

    @property
    def max_iters(self) -> int:
        """Iterations of the training; without an end if it counts epochs."""
        by_iters = isinstance(self._train_loop, IterBasedTrainLoop)
        return self._train_loop.max_iters if by_iters else sys.maxsize

    def length_for(self, schedule: dict) -> int | None:
        """Return the training's length in a schedule's unit, if it has one.

        Args:
            schedule (dict): The config of the schedule.
        """
        by_epoch = schedule.get('by_epoch', True)
        if by_epoch == isinstance(self._train_loop, IterBasedTrainLoop):
            return None
        return self.max_epochs if by_epoch else self.max_iters


def build_unread(node: Any) -> Dataset | None:
    """Build a dataset that does not read its data yet.

    Args:
        node (Any): The config of the dataset.

    Returns:
        Dataset | None: The dataset; None if its data is missing.
        Its pipeline is built in any case.
    """
    for _, part in walk(node):
        kinds = find_types(part['type']) if 'type' in part else []
        if any('lazy_init' in arguments_of(kind)[0] for kind in kinds):
            part['lazy_init'] = True
    try:
        return DATASETS.build(node)
    except (AssertionError, OSError, RuntimeError, ValueError) as error:
        roots = [part.get('data_root') or '.' for _, part in walk(node)]
        if not isinstance(error, OSError) and all(map(osp.exists, roots)):
            raise
        for _, part in walk(node):
            for transform in part.get('pipeline') or ():
                TRANSFORMS.build(transform)
        return None


class _Counted(Dataset):
    """A dataset with its own length and the attributes of another one."""

    def __init__(self, dataset: Dataset | None, count: int) -> None:
        self.dataset, self.count = dataset, count
        self.metainfo = getattr(dataset, 'metainfo', {})

    def __len__(self) -> int:
        return self.count

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


class _EmptyOnMeta(TorchFunctionMode):
    """Make layers without memory for their weights.

    Only ``torch.empty`` is diverted, which layers use: many backbones read
    numbers from small tensors while they are built, such as those of
    ``torch.linspace`` for their drop rates.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Call a function of torch."""
        if function is torch.empty:
            kwargs = dict(kwargs or {}, device='meta')
        return function(*args, **(kwargs or {}))


def _without_amp(wrapper: dict) -> dict:
    """Return an optimizer's wrapper that can be built without a GPU."""
    if torch.cuda.is_available() or 'Amp' not in str(wrapper.get('type')):
        return wrapper
    own = arguments_of(OptimWrapper)[0] | {'constructor', 'paramwise_cfg'}
    return type(wrapper)({k: v for k, v in wrapper.items() if k in own})


def _check_parts(cfg: Config, training: bool) -> None:
    """Raise if a part of a loop is missing."""
    if not cfg.get('model'):
        raise UsageError('the config cannot be run: it has no `model`')
    for split, part in LOOPS.items():
        keys = (f'{split}_dataloader', f'{split}_cfg', part)
        missing = [key for key in keys if cfg.get(key) is None]
        needed = split == ('train' if training else 'test')
        if missing and (needed or len(missing) < len(keys)):
            raise UsageError(
                f'the config cannot be run: a {split} loop needs '
                f'{", ".join(keys)}, but lacks {", ".join(missing)}'
            )


@contextmanager
def quietly(cfg: Config) -> Iterator[None]:
    """Work in a config's scope, without output or a changed random state.

    Args:
        cfg (Config): The merged config.
    """
    logger = MMLogger.get_current_instance()
    before, logger.disabled = logger.disabled, True
    scope = cfg.get('default_scope') or 'mmengine'
    try:
        with (
            DefaultScope.overwrite_default_scope(scope),
            isolated_randomness(0),
            warnings.catch_warnings(record=True),
            redirect_stdout(io.StringIO()),
        ):
            yield
    finally:
        logger.disabled = before
