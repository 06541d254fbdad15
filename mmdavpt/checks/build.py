"""Build the parts of a run in the runner's order, without weights or data."""

import copy
import io
import logging
import os.path as osp
import re
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.overrides import TorchFunctionMode
from torch.utils.data import Dataset

from mmdavpt.errors import UsageError, did_you_mean
from mmdavpt.randomness import isolated_randomness

from .introspection import argument_names, find_types, walk

#: The parts of a config that each loop of a run needs.
LOOPS = {
    'train': ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    'val': ('val_dataloader', 'val_cfg', 'val_evaluator'),
    'test': ('test_dataloader', 'test_cfg', 'test_evaluator'),
}
#: Batches of the data that stand in for those of a loader.
BATCHES = 10


class DryRunner(Runner):
    """A runner that builds its parts, but writes and loads nothing.

    Parameters of its model are on the meta device, and its datasets are not
    read: loaders count :data:`BATCHES` batches, and some images more.

    Args:
        cfg (Config): The merged config. It is copied.
        training (bool): Whether the run trains, and does not test.

    Raises:
        UsageError: If a part cannot be built.
    """

    def __init__(self, cfg: Config, training: bool) -> None:
        self.cfg = cfg = copy.deepcopy(cfg)
        self._nodes = list(walk(cfg._cfg_dict))
        self.logger = logging.getLogger('mmdavpt.preflight')
        self.logger.disabled = True
        self._hooks: list = []
        self._experiment_name, self._log_dir = 'preflight', None
        self._seed, self._world_size = 0, 1
        self._distributed, self._randomness_cfg = False, {}
        self._train_dataloader = cfg.get('train_dataloader')
        self._val_dataloader = cfg.get('val_dataloader')
        self._test_dataloader = cfg.get('test_dataloader')
        self._val_evaluator = cfg.get('val_evaluator')
        self._test_evaluator = cfg.get('test_evaluator')
        self._train_loop = self._val_loop = self._test_loop = None
        self.model = self.optim_wrapper = self.param_schedulers = None
        _check_parts(cfg, training)
        with _quietly(cfg.get('default_scope') or 'mmengine'):
            self._build(cfg, training)

    def _build(self, cfg: Config, training: bool) -> None:
        with self._reporting('log_processor'):
            self.build_log_processor(cfg.get('log_processor') or {})
        with self._reporting('visualizer'):
            self.visualizer = self._build_visualizer(cfg.get('visualizer'))
        with self._reporting('model'):
            self.model = self._build_model(cfg)
        with self._reporting('default_hooks'):
            self.register_default_hooks(cfg.get('default_hooks'))
        self.default_hooks = list(self._hooks)
        with self._reporting('custom_hooks'):
            self.register_custom_hooks(cfg.get('custom_hooks') or [])
        type(self.visualizer)._instance_dict.pop(self._experiment_name, None)
        if not training:
            with self._reporting('test_cfg'):
                self._test_loop = self.build_test_loop(cfg.test_cfg)
            return
        with self._reporting('train_cfg'):
            self._train_loop = self.build_train_loop(cfg.train_cfg)
        if self.model is not None:
            with self._reporting('optim_wrapper'):
                self.optim_wrapper = self.build_optim_wrapper(
                    _without_amp(cfg.optim_wrapper)
                )
                self.scale_lr(self.optim_wrapper, cfg.get('auto_scale_lr'))
        if self.optim_wrapper is not None and cfg.get('param_scheduler'):
            with self._reporting('param_scheduler'):
                self._check_begins(cfg)
                self._check_scheduler_cfg(cfg.param_scheduler)
                self.param_schedulers = self.build_param_scheduler(
                    cfg.param_scheduler
                )
        if cfg.get('val_cfg') is not None:
            with self._reporting('val_cfg'):
                self._val_loop = self.build_val_loop(cfg.val_cfg)

    def length_for(self, schedule: dict) -> int | None:
        """Return the training's length in a schedule's unit, if it has one.

        Args:
            schedule (dict): The config of the schedule.
        """
        by_epoch = schedule.get('by_epoch', True)
        if by_epoch == isinstance(self._train_loop, IterBasedTrainLoop):
            return None
        return self.max_epochs if by_epoch else self.max_iters

    def _check_begins(self, cfg: Config) -> None:
        """Raise if a schedule begins after the training has ended."""
        for path, node in schedules_of(cfg):
            total, begin = self.length_for(node), node.get('begin', 0)
            if total is not None and begin >= total:
                raise UsageError(
                    f'the config cannot be run: `{path}` ({node["type"]}) '
                    f'begins at {begin}, but the training ends at {total}; '
                    'train longer, or set `begin` and `end` of the schedules '
                    'to fit'
                )

    def _build_visualizer(self, node: dict | None) -> Any:
        # A name of its own, since visualizers are singletons by name.
        return self.build_visualizer(
            dict(node or dict(type='Visualizer'), name=self._experiment_name)
        )

    def _build_model(self, cfg: Config) -> torch.nn.Module | None:
        if cfg.get('data_preprocessor') is not None:
            cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
        with _EmptyOnMeta():
            try:
                return self.build_model(cfg.model).to('meta')
            except _VALUE_ERRORS as error:
                if re.search(r'\bmeta\b', str(error), re.IGNORECASE):
                    return None  # it needs the values of its weights
                raise

    def build_dataloader(
        self, dataloader: dict, seed: int | None = None, **kwargs
    ) -> Any:
        """Build a loader that counts instead of reading its data.

        Args:
            dataloader (dict): The config of the loader.
            seed (int, optional): See :meth:`Runner.build_dataloader`.
                Defaults to None.
            **kwargs: See there.
        """
        path = next(
            p for p, n in self._nodes if n is dataloader or n == dataloader
        )
        given = dict(dataloader)
        with self._reporting(f'{path}.dataset'):
            dataset = build_unread(given['dataset'])
        batch = given.get('batch_size')
        count = BATCHES * batch if isinstance(batch, int) else BATCHES
        given['dataset'] = _Counted(dataset, count + (count > BATCHES))
        with self._reporting(path):
            loader = Runner.build_dataloader(given, seed=seed, **kwargs)
            if loader.num_workers:
                # An iterator of mmengine's loops would start the workers.
                for key in ('persistent_workers', 'prefetch_factor'):
                    given.pop(key, None)
                given.update(num_workers=0, timeout=0)
                given.pop('multiprocessing_context', None)
                loader = Runner.build_dataloader(given, seed=seed, **kwargs)
        return loader

    @contextmanager
    def _reporting(self, path: str) -> Iterator[None]:
        try:
            yield
        except UsageError:
            raise
        except Exception as error:
            reason = describe(error, self._nodes, path)
            raise UsageError(f'the config cannot be run: {reason}') from error


def describe(
    error: Exception, nodes: Sequence[tuple[str, dict]], path: str = ''
) -> str:
    """Return where in a config an error comes from, and its reason.

    Args:
        error (Exception): What was raised.
        nodes (Sequence[tuple[str, dict]]): The dicts of the config by path.
        path (str): The path of the part that was being built, if known.
            Defaults to ''.
    """
    target = registry = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == 'build_from_cfg':
            path = _path_of(frame.f_locals.get('cfg'), nodes) or path
            target = frame.f_locals.get('obj_cls')
            registry = frame.f_locals.get('registry')
    called = re.search(r'(\w+)\.__init__\(\) got', str(error))
    if called and target is None:
        target = frame.f_globals.get(called[1])
    if target is None and registry is None and path:
        for place, node in nodes:
            inside = f'{place}.'.startswith(f'{path}.')
            if inside and not find_types(node.get('type', dict)):
                return f'`{place}.type`: {node["type"]!r} is not registered'
    return (f'`{path}`: ' if path else '') + reason_of(error, target, registry)


def _path_of(node: Any, nodes: Sequence[tuple[str, dict]]) -> str | None:
    for path, own in nodes:
        if own is node:
            return path
    if not isinstance(node, dict):
        return None
    # A copy, perhaps with some defaults.
    return next(
        (
            path
            for path, own in nodes
            if 'type' in own and all(node.get(k) == v for k, v in own.items())
        ),
        None,
    )


def schedules_of(cfg: Config) -> list[tuple[str, dict]]:
    """Return the schedules of a config with their paths.

    Args:
        cfg (Config): The config. Those of several optimizers are left out.
    """
    given = cfg.get('param_scheduler') or []
    if isinstance(given, dict):
        return [('param_scheduler', given)] if 'type' in given else []
    return [
        (f'param_scheduler.{i}', node)
        for i, node in enumerate(given)
        if isinstance(node, dict)
    ]


def reason_of(error: Exception, target: Any, registry: Any) -> str:
    """Return in one sentence why something could not be built.

    Args:
        error (Exception): What was raised.
        target (Any): The class or function that was called, if known.
        registry (Any): The registry that was asked, if known.
    """
    text = ' '.join(str(error).split())
    unknown = re.search(r"unexpected keyword argument '(\w+)'", text)
    if unknown and target is not None:
        names = argument_names(target)
        name = getattr(target, '__name__', target)
        hint = did_you_mean(unknown[1], names)
        return f'{name} has no argument {unknown[1]!r}' + (
            hint or f'; it has {", ".join(sorted(names))}'
        )
    unknown = re.match(r"['\"]?(\S+) is not in the (.+?) registry", text)
    if unknown and registry is not None:
        names = {*registry.module_dict, *registry.root.module_dict}
        return f'{unknown[1]!r} is not in the registry {unknown[2]}' + (
            did_you_mean(unknown[1], names)
        )
    if 'must contain the key "type"' in text:
        return 'it has no `type`'
    if text and isinstance(error, (ValueError, UsageError)):
        return text
    if text:
        return f'{text} ({type(error).__name__})'
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f'`{place.line}` fails in {place.name} ({type(error).__name__})'


def build_unread(node: Any) -> Dataset | None:
    """Build a dataset that does not read its data yet.

    Args:
        node (Any): The config of the dataset.

    Returns:
        Dataset | None: The dataset; None if it needs data that are missing.
        Its pipeline is built in any case.
    """
    for _, part in walk(node):
        if (
            'type' not in part
            or 'pipeline' not in part
            and not ({'dataset', 'datasets'} & set(part))
        ):
            continue
        kind = part['type']
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if kind is not None and 'lazy_init' in argument_names(kind):
            part['lazy_init'] = True
    try:
        return DATASETS.build(node)
    except (AssertionError, OSError, RuntimeError, ValueError) as error:
        roots = [part.get('data_root') for _, part in walk(node)]
        if not isinstance(error, OSError) and all(
            osp.exists(root) for root in roots if root
        ):
            raise
        for _, part in walk(node):
            for transform in part.get('pipeline') or ():
                if isinstance(transform, dict):
                    TRANSFORMS.build(transform)
        return None


class _Counted(Dataset):
    """A dataset with a number of samples and the metainfo of another."""

    def __init__(self, dataset: Dataset | None, count: int) -> None:
        self.dataset, self.count = dataset, count
        self.metainfo = getattr(dataset, 'metainfo', {})

    def __len__(self) -> int:
        return self.count

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'dataset':
            raise AttributeError(name)
        return getattr(self.dataset, name)


_VALUE_ERRORS = (NotImplementedError, RuntimeError, TypeError, ValueError)


class _EmptyOnMeta(TorchFunctionMode):
    """Make layers without memory for their weights.

    Only ``torch.empty`` is diverted, which layers use: many backbones read
    numbers from small tensors while they are built, such as those of
    ``torch.linspace`` for their drop rates.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Call a function of torch."""
        kwargs = kwargs or {}
        if function is torch.empty:
            kwargs = dict(kwargs, device='meta')
        return function(*args, **kwargs)


def _without_amp(wrapper: dict) -> dict:
    """Return an optimizer's wrapper that can be built without a GPU."""
    if torch.cuda.is_available() or 'Amp' not in str(wrapper.get('type')):
        return wrapper
    own = {
        'accumulative_counts',
        'clip_grad',
        'constructor',
        'optimizer',
        'paramwise_cfg',
    }
    return type(wrapper)({k: v for k, v in wrapper.items() if k in own})


def _check_parts(cfg: Config, training: bool) -> None:
    """Raise if a part of a loop is missing."""
    if not cfg.get('model'):
        raise UsageError('the config cannot be run: it has no `model`')
    for split, keys in LOOPS.items():
        missing = [f'`{key}`' for key in keys if cfg.get(key) is None]
        needed = split == ('train' if training else 'test')
        if missing and (needed or len(missing) < len(keys)):
            raise UsageError(
                f'the config cannot be run: a {split} loop needs '
                f'{", ".join(f"`{key}`" for key in keys)}, but lacks '
                f'{", ".join(missing)}'
            )


@contextmanager
def _quietly(scope: str) -> Iterator[None]:
    """Build in a scope, without a log, warnings or a changed random state."""
    logger = MMLogger.get_current_instance()
    before, logger.disabled = logger.disabled, True
    try:
        with (
            DefaultScope.overwrite_default_scope(scope),
            isolated_randomness(0),
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter('ignore')
            yield
    finally:
        logger.disabled = before
