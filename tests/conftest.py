"""Settings of all tests."""
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _fresh_host_globals():
    """Forget the hosts' process-wide state: scope and named loggers."""
    yield
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
