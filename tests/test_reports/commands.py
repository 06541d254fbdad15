"""Start commands as a user does, in this process."""

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmdavpt.cli import test, train
from mmdavpt.cli.messages import run_command
from mmdavpt.engine.runner import DAVPTRunner


def start(command, cfg, folder, *options):
    """Run a command on a config; its log stays in the work folder."""
    DefaultScope._instance_dict.clear()
    MMLogger._instance_dict.clear()
    path = folder / 'config.py'
    Config(cfg).dump(path)
    run_command(
        dict(train=train, test=test)[command],
        [str(path), *map(str, options)],
    )


def refusal(capsys, command, cfg, folder, *options):
    """Return the one sentence with which a command ends."""
    with pytest.raises(SystemExit) as end:
        start(command, cfg, folder, *options)
    assert end.value.code == 2
    *_, sentence = capsys.readouterr().err.splitlines()
    return sentence.partition('error: ')[2]


def log_of(work_dir):
    """Return the log of the last run in a folder."""
    return sorted(work_dir.glob('*/*.log'))[-1].read_text()


def trained(cfg, name):
    """Train without the checks, and return the runner."""
    DefaultScope._instance_dict.clear()
    cfg = Config(dict(cfg, experiment_name=name))
    runner = DAVPTRunner.from_cfg(cfg)
    runner.train()
    return runner
