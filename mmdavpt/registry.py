"""Registries of the package; configs use them as ``type='mmdavpt.NAME'``.

mmengine imports the modules in ``locations`` on first use, so configs need no
``custom_imports``. Keep this file light: it is imported whenever a type with
the prefix ``mmdavpt.`` is looked up.
"""

from mmengine import registry as parents
from mmengine.registry import Registry


def _child_of(parent: Registry, *modules: str) -> Registry:
    """Return a registry below one of mmengine, filled by modules."""
    locations = [f'mmdavpt.{module}' for module in modules]
    return Registry(parent.name, parent=parent, locations=locations)


MODELS = _child_of(parents.MODELS, 'models')
HOOKS = _child_of(parents.HOOKS, 'engine.hooks', 'visualization')
DATASETS = _child_of(parents.DATASETS, 'datasets')
TRANSFORMS = _child_of(parents.TRANSFORMS, 'datasets')
RUNNERS = _child_of(parents.RUNNERS, 'engine.runner')
OPTIM_WRAPPERS = _child_of(parents.OPTIM_WRAPPERS, 'engine.optimizers')
CONSTRUCTORS = parents.OPTIM_WRAPPER_CONSTRUCTORS
OPTIM_WRAPPER_CONSTRUCTORS = _child_of(CONSTRUCTORS, 'engine.optimizers')
PARAM_SCHEDULERS = _child_of(parents.PARAM_SCHEDULERS, 'engine.schedules')
#: Tuning methods; they have no counterpart in mmengine.
TUNERS = Registry('tuner', locations=['mmdavpt.models.tuners'])

#: Metrics of the guidance loss: modules called with ``similarity`` (B, P),
#: ``target`` (B, ) and ``guided`` (P, ) that return a scalar.
LOSSES = 'mmdavpt.models.losses'
GUIDANCE_METRICS = Registry('guidance metric', locations=[LOSSES])
