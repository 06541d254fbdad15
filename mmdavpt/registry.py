"""Child registries of mmengine's, reachable as ``mmdavpt.X`` from any scope.

``locations`` lets mmengine import the defining modules on first use, so that
configs need no ``custom_imports``. This file must stay light: it is imported
whenever a key with the prefix ``mmdavpt.`` is looked up.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import (
    OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
)
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import Registry

MODELS = Registry(
    'model', parent=MMENGINE_MODELS, locations=['mmdavpt.models']
)
HOOKS = Registry(
    'hook', parent=MMENGINE_HOOKS, locations=['mmdavpt.engine.hooks']
)
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, locations=['mmdavpt.datasets']
)
RUNNERS = Registry(
    'runner', parent=MMENGINE_RUNNERS, locations=['mmdavpt.engine.runner']
)
OPTIM_WRAPPERS = Registry(
    'optim wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    locations=['mmdavpt.engine.optimizers'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optim wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    locations=['mmdavpt.engine.optimizers'],
)
#: Tuning methods; they have no counterpart in mmengine.
TUNERS = Registry('tuner', locations=['mmdavpt.models.tuners'])

#: Metrics of the guidance loss: modules called with ``similarity`` (B, P),
#: ``target`` (B, ) and ``guided`` (P, ) that return a scalar.
GUIDANCE_METRICS = Registry(
    'guidance metric', locations=['mmdavpt.models.losses']
)

__all__ = [
    'DATASETS',
    'GUIDANCE_METRICS',
    'HOOKS',
    'MODELS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'RUNNERS',
    'TUNERS',
]
