"""Settings and fixtures of all tests."""

import gc
import os
import sys

# Tests compare bits and start several processes, so they run on the CPU.
os.environ['CUDA_VISIBLE_DEVICES'] = ''

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmengine.runner import Runner  # noqa: E402
from mmengine.runner.checkpoint import CheckpointLoader  # noqa: E402

torch.set_num_threads(1)
# No test depends on the clock: a busy machine draws examples slowly.
slow = [HealthCheck.too_slow]
settings.register_profile('busy', suppress_health_check=slow)
settings.load_profile('busy')


def pytest_collection_modifyitems(items):
    """Run tests that fork first.

    PyTorch cannot run backward in a fork of a process with autograd threads,
    which a backward pass on fake tensors starts.
    """
    items.sort(key=lambda item: item.get_closest_marker('forks') is None)


#: Number of imported modules at the last gc.freeze().
_FROZEN = [0]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Keep the objects of imported modules out of garbage collection.

    mmengine collects garbage for each dataset. Scanning all objects of torch,
    mmseg and mmpretrain takes longer than a tiny run. As a hook, it also runs
    before fixtures of modules.
    """
    if len(sys.modules) > _FROZEN[0] + 100:
        gc.collect()
        gc.freeze()
        _FROZEN[0] = len(sys.modules)


def pytest_unconfigure():
    """Allow a normal shutdown."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _fresh_global_state():
    """Reset process-wide state that runs change: scope, loggers, loaders."""
    loaders = dict(CheckpointLoader._schemes)
    yield
    CheckpointLoader._schemes = loaders
    DefaultScope._instance_dict.clear()
    for instance in MMLogger._instance_dict.values():
        for handler in instance.handlers:
            handler.close()
    MMLogger._instance_dict.clear()


@pytest.fixture
def runner_from():
    """Return a function that builds a Runner from a plain dict."""

    def build(cfg, **kwargs):
        return Runner.from_cfg(Config({**cfg, **kwargs}))

    return build
