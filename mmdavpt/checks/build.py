"""Build the parts of a run in the runner's order, without weights or data."""

import copy
import io
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any
from unittest.mock import patch

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

from .config_errors import describe
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

    _experiment_name, _log_dir, _randomness_cfg = NAME, None, {}
    _seed, _world_size, _distributed = 0, 1, False
    _train_loop = _val_loop = _test_loop = None
    model = optim_wrapper = param_schedulers = None

    def __init__(self, cfg: Config, training: bool) -> None:
        self.cfg = cfg = copy.deepcopy(cfg)
        self.logger, self._hooks = MMLogger.get_current_instance(), []
        for split in LOOPS:
            for part in (f'{split}_dataloader', f'{split}_evaluator'):
                setattr(self, f'_{part}', cfg.get(part))
        _check_parts(cfg, training)
        with quietly(cfg):
            try:
                self._build(cfg, training)
            except Exception as error:
                why = describe(error, cfg._cfg_dict)
                raise UsageError(f'the config cannot be run: {why}') from error

    def _build(self, cfg: Config, training: bool) -> None:
        self.build_log_processor(cfg.get('log_processor') or {})
        node = cfg.get('visualizer') or dict(type='Visualizer')
        self.visualizer = self.build_visualizer(dict(node, name=NAME))
        self.model = self._build_empty_model(cfg)
        self.register_hooks(cfg.get('default_hooks'), cfg.get('custom_hooks'))
        type(self.visualizer)._instance_dict.pop(NAME, None)
        if not training:
            self._test_loop = self.build_test_loop(cfg.test_cfg)
            return
        self._train_loop = self.build_train_loop(cfg.train_cfg)
        if self.model is not None:
            self.optim_wrapper = self.build_optim_wrapper(cfg.optim_wrapper)
            self.scale_lr(self.optim_wrapper, cfg.get('auto_scale_lr'))
        given = cfg.get('param_scheduler')
        if given and isinstance(self.optim_wrapper, OptimWrapper):
            for path, node, _, total in self.schedules():
                if total is not None and node.get('begin', 0) >= total:
                    raise UsageError(
                        f'`{path}`: {node["type"]} begins at {node["begin"]}, '
                        f'but the training ends at {total}; train longer, or '
                        'set `begin` and `end` of the schedules to fit'
                    )
            self.param_schedulers = self.build_param_scheduler(given)
        if cfg.get('val_cfg') is not None:
            self._val_loop = self.build_val_loop(cfg.val_cfg)

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

    def build_dataloader(self, loader: dict, *args, **kwargs) -> DataLoader:
        """Build a loader that counts instead of reading its data.

        Args:
            loader (dict): The config of the loader.
            *args: See :meth:`Runner.build_dataloader`.
            **kwargs: See there.
        """
        given = dict(loader)
        dataset = build_unread(given['dataset'])
        count = 1 + BATCHES * (given.get('batch_size') or 1)
        given['dataset'] = _Counted(dataset, count)
        Runner.build_dataloader(given, *args, **kwargs)
        # An iterator of mmengine's loops would start the workers.
        for key in ('num_workers', 'persistent_workers', 'prefetch_factor'):
            given.pop(key, None)
        return Runner.build_dataloader(dict(given, timeout=0), *args, **kwargs)

    @property
    def max_iters(self) -> int:
        """Iterations of the training; without an end if it counts epochs."""
        by_iters = isinstance(self._train_loop, IterBasedTrainLoop)
        return self._train_loop.max_iters if by_iters else sys.maxsize

    def schedules(self) -> Iterator[tuple[str, dict, Any, int | None]]:
        """Yield path, config and built schedule of each schedule.

        Yields:
            tuple: With the length of the training in the unit of the
            schedule; None if the training counts in another unit. The
            schedule is None before it is built. Several optimizers yield
            none.
        """
        nodes = self.cfg.get('param_scheduler') or []
        if self.optim_wrapper is None:
            return  # the model needs the values of its weights
        several = isinstance(nodes, (list, tuple))
        nodes = nodes if several else [nodes]
        built = self.param_schedulers or [None] * len(nodes)
        by_epoch = not isinstance(self._train_loop, IterBasedTrainLoop)
        length = self.max_epochs if by_epoch else self.max_iters
        for i, (node, one) in enumerate(zip(nodes, built, strict=False)):
            same_unit = node.get('by_epoch', True) == by_epoch
            path = f'param_scheduler.{i}' if several else 'param_scheduler'
            if 'type' in node:
                yield path, node, one, length if same_unit else None


def build_unread(node: Any) -> Dataset | None:
    """Build a dataset that does not read its data yet.

    Args:
        node (Any): The config of the dataset.

    Returns:
        Dataset | None: The dataset; None if its data is missing or wrong,
        which the checks of the data explain. Its pipeline is built in any
        case.
    """
    for _, part in walk(node):
        kinds = find_types(part.get('type'))
        if any('lazy_init' in arguments_of(kind)[0] for kind in kinds):
            part['lazy_init'] = True
    try:
        return DATASETS.build(node)
    except (AssertionError, OSError, RuntimeError, ValueError):
        for _, part in walk(node):
            for transform in part.get('pipeline') or ():
                TRANSFORMS.build(transform)
        return None


class _Counted(Dataset):
    """A dataset with its own length and the attributes of another one."""

    def __init__(self, dataset: Dataset | None, count: int) -> None:
        self.dataset, self.count = dataset, count

    def __len__(self) -> int:
        return self.count

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self).get('dataset'), name)


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


def _check_parts(cfg: Config, training: bool) -> None:
    """Raise if a part of a loop is missing."""
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
    scope = cfg.get('default_scope') or 'mmengine'
    with (
        patch.object(MMLogger.get_current_instance(), 'disabled', True),
        DefaultScope.overwrite_default_scope(scope),
        isolated_randomness(0),
        warnings.catch_warnings(record=True),
        redirect_stdout(io.StringIO()),
    ):
        yield
