"""Registries of the package; configs use them as ``type='mmdavpt.NAME'``.

mmengine imports the modules in ``locations`` on first use, so configs need no
``custom_imports``. Keep this file light: it is imported whenever a type with
the prefix ``mmdavpt.`` is looked up.
"""

from mmengine import registry as parents
from mmengine.registry import Registry

MODELS = Registry('model', parent=parents.MODELS, locations=['mmdavpt.models'])
HOOKS = Registry(
    'hook', parent=parents.HOOKS, locations=['mmdavpt.engine.hooks']
)
DATASETS = Registry(
    'dataset', parent=parents.DATASETS, locations=['mmdavpt.datasets']
)
TRANSFORMS = Registry(
    'transform', parent=parents.TRANSFORMS, locations=['mmdavpt.datasets']
)
RUNNERS = Registry(
    'runner', parent=parents.RUNNERS, locations=['mmdavpt.engine.runner']
)
OPTIM_WRAPPERS = Registry(
    'optim wrapper',
    parent=parents.OPTIM_WRAPPERS,
    locations=['mmdavpt.engine.optimizers'],
)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optim wrapper constructor',
    parent=parents.OPTIM_WRAPPER_CONSTRUCTORS,
    locations=['mmdavpt.engine.optimizers'],
)
PARAM_SCHEDULERS = Registry(
    'parameter scheduler',
    parent=parents.PARAM_SCHEDULERS,
    locations=['mmdavpt.engine.schedules'],
)
#: Tuning methods; they have no counterpart in mmengine.
TUNERS = Registry('tuner', locations=['mmdavpt.models.tuners'])

#: Metrics of the guidance loss: modules called with ``similarity`` (B, P),
#: ``target`` (B, ) and ``guided`` (P, ) that return a scalar.
GUIDANCE_METRICS = Registry(
    'guidance metric', locations=['mmdavpt.models.losses']
)
