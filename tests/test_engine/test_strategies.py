"""Engines other than DDP are refused before the run."""

import re

import pytest
from mmengine.config import Config
from mmengine.model.wrappers import MMFullyShardedDataParallel
from mmengine.registry import MODEL_WRAPPERS, OPTIM_WRAPPERS, RUNNERS
from torch.nn.parallel import DataParallel, DistributedDataParallel

from mmdavpt.checks.preflight import preflight
from mmdavpt.cli import train
from mmdavpt.cli.messages import run_command
from mmdavpt.engine.runner import OTHER_ENGINES, DAVPTRunner, check_engine
from mmdavpt.errors import UsageError
from tests import toy

FSDP = dict(type='MMFullyShardedDataParallel')
ENGINES = [
    ('runner_type', 'FlexibleRunner'),
    ('strategy', dict(type='DDPStrategy')),
    ('strategy', dict(type='DeepSpeedStrategy', zero_optimization={})),
    ('model_wrapper_cfg', FSDP),
    ('model_wrapper_cfg', dict(type=MMFullyShardedDataParallel)),
    ('model_wrapper_cfg', dict(type='MMDeepSpeedEngineWrapper')),
    ('optim_wrapper', dict(type='DeepSpeedOptimWrapper', optimizer={})),
    ('optim_wrapper', dict(type='mmengine.ColossalAIOptimWrapper')),
]


@pytest.mark.parametrize('key, value', ENGINES)
def test_other_engines_are_refused_in_one_sentence(key, value, tmp_path):
    cfg = Config({**toy.classification(tmp_path / 'run'), key: value})
    for start in (
        lambda: preflight(cfg, True),
        lambda: DAVPTRunner.from_cfg(cfg),
    ):
        with pytest.raises(UsageError) as refused:
            start()
        said = str(refused.value)
        path = f'{key}.type' if 'wrapper' in key else key
        assert '\n' not in said and '. ' not in said
        assert said.startswith(f'`{path}` is ') and 'with DDP only' in said
        assert '<' not in said  # the name of a class
        assert f'remove `{path}` and start with tools/dist_train.sh' in said
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'key, value',
    [
        ('runner_type', 'mmdavpt.DAVPTRunner'),
        ('model_wrapper_cfg', dict(type='MMDistributedDataParallel')),
        ('model_wrapper_cfg', dict(find_unused_parameters=True)),
        ('optim_wrapper', dict(type='AmpOptimWrapper')),
        ('optim_wrapper', None),
        ('strategy', None),
    ],
)
def test_ddp_is_not(key, value):
    check_engine({key: value})


def test_names_cover_the_wrappers_of_mmengine():
    for name, kind in MODEL_WRAPPERS.module_dict.items():
        ddp = issubclass(kind, (DataParallel, DistributedDataParallel))
        assert bool(re.search(OTHER_ENGINES, name)) != ddp, name
    for name, kind in OPTIM_WRAPPERS.module_dict.items():
        other = kind.__module__.startswith('mmengine._strategy')
        assert bool(re.search(OTHER_ENGINES, name)) == other, name
    assert 'FlexibleRunner' in RUNNERS.module_dict


@pytest.mark.parametrize('key, value', ENGINES[:1] + ENGINES[3:4])
def test_a_run_without_checks_refuses_them_too(key, value, tmp_path, capsys):
    path = tmp_path / 'config.py'
    cfg = {**toy.classification(tmp_path / 'run'), key: value}
    path.write_text('\n'.join(f'{k} = {v!r}' for k, v in cfg.items()))
    with pytest.raises(SystemExit) as ended:
        run_command(train, [str(path), '--no-check'])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f'error: `{key}' in line
