"""Importing the package changes nothing in any other library."""

import subprocess
import sys

#: Runs in a fresh interpreter. The libraries are imported first, so that
#: only what mmdavpt does is compared.
PROGRAM = r"""
import importlib, multiprocessing, os, pkgutil, random, signal, sys, warnings

import cv2, matplotlib, numpy, PIL.Image, sklearn.cluster, timm, torch
import mmengine.registry, mmengine.runner.checkpoint, mmengine.dataset
import mmengine.dist, mmengine.hooks, mmengine.logging, mmengine.model
import mmengine.optim, mmengine.visualization
import mmpretrain.apis, mmpretrain.datasets, mmpretrain.engine
import mmpretrain.evaluation, mmpretrain.models, mmpretrain.visualization
import mmseg.apis, mmseg.datasets, mmseg.engine, mmseg.evaluation
import mmseg.models, mmseg.visualization
from torch.utils import data

LIBRARIES = ('torch.', 'mmengine.', 'mmseg.', 'mmpretrain.', 'mmcv.', 'timm.')


def patched():
    '''Return all functions and attributes of classes of the libraries.'''
    found = {}
    for name, module in sorted(sys.modules.items()):
        if not name.startswith(('mmengine', 'mmseg', 'mmpretrain', 'mmcv')):
            continue
        for key, value in list(vars(module).items()):
            if callable(value):
                found[name, key] = id(value)
            if isinstance(value, type) and value.__module__ == name:
                for attribute, member in list(vars(value).items()):
                    if not attribute.startswith('_abc'):
                        found[name, key, attribute] = id(member)
    return found


def registries():
    '''Return the names registered outside mmdavpt, and their scopes.'''
    found = {}
    for module in (mmengine.registry, mmseg.registry, mmpretrain.registry):
        for key, registry in vars(module).items():
            if isinstance(registry, mmengine.registry.Registry):
                found[module.__name__, key] = (
                    sorted(registry.module_dict),
                    sorted(set(registry.children) - {'mmdavpt'}),
                )
    return found


def state():
    return dict(
        schemes=dict(mmengine.runner.checkpoint.CheckpointLoader._schemes),
        safe_globals=torch.serialization.get_safe_globals(),
        load=torch.load,
        warnings=list(warnings.filters),
        environment=dict(os.environ),
        scope=dict(mmengine.registry.DefaultScope._instance_dict),
        loggers=sorted(mmengine.logging.MMLogger._instance_dict),
        registries=registries(),
        patched=patched(),
        path=list(sys.path),
        hook=sys.excepthook,
        signals=[signal.getsignal(s) for s in (2, 10, 15)],
        start_method=multiprocessing.get_start_method(allow_none=True),
        sharing=torch.multiprocessing.get_sharing_strategy(),
        threads=(torch.get_num_threads(), cv2.getNumThreads()),
        dtype=torch.get_default_dtype(),
        grad=torch.is_grad_enabled(),
        deterministic=torch.are_deterministic_algorithms_enabled(),
        cudnn=(torch.backends.cudnn.benchmark, torch.backends.cudnn.enabled),
        random=(random.getstate(), torch.get_rng_state().tolist()),
        numpy=(numpy.random.get_state()[1].tolist(), numpy.geterr()),
        matplotlib=dict(matplotlib.rcParams, backend=None),
        images=(PIL.Image.MAX_IMAGE_PIXELS, cv2.useOptimized()),
    )


import threading  # noqa
before = state()
import mmdavpt
names = ['mmdavpt']
for module in pkgutil.walk_packages(mmdavpt.__path__, 'mmdavpt.'):
    if not module.name.endswith('__main__'):
        names.append(module.name)
        importlib.import_module(module.name)
after = state()
# Imports of further modules of a library may add to it, not change it.
for key in ('patched',):
    after[key] = {k: v for k, v in after[key].items() if k in before[key]}
changed = [key for key in before if before[key] != after[key]]
for key in changed:
    if isinstance(before[key], dict):
        print(key, [k for k in {**before[key], **after[key]}
                    if before[key].get(k) != after[key].get(k)][:9])
assert len(names) > 100, names
assert not changed, changed
# The check sees a change.
from mmdavpt.checkpoints import install_safe_loading
install_safe_loading()
assert state()['schemes'] != before['schemes']
once = state()['schemes']
install_safe_loading()
assert state()['schemes'] == once
"""


def test_importing_every_module_changes_nothing_elsewhere():
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
