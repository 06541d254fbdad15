"""Distributed runs: launchers, timeouts, runs without a GPU."""

import os

import pytest
import torch
from mmengine.config import Config

from mmdavpt.cli import common, launch
from mmdavpt.errors import UsageError

from .test_flags import ADE20K

VARIABLES = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
OTHERS = ('LOCAL_RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')


@pytest.fixture
def set_environment(monkeypatch):
    """Return a function that sets variables."""
    for name in (*VARIABLES, *OTHERS):
        # Set first, so that pytest also restores what the code sets.
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)

    def set_variables(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize(
    'launcher, variables, words',
    [
        ('slurm', {}, 'SLURM_PROCID.*slurm_train.sh'),
        ('mpi', {}, 'OMPI_COMM_WORLD_RANK.*mpirun'),
        ('slurm', {'SLURM_PROCID': '1'}, 'slurm needs GPUs; .*dist_train.sh'),
        ('pytorch', {}, 'RANK.*dist_train.sh'),
    ],
)
def test_process_without_its_launcher(
    set_environment, launcher, variables, words
):
    set_environment(variables)
    with pytest.raises(UsageError, match=words):
        launch.prepare_launcher(Config(dict(launcher=launcher, model={})))


def test_one_process_gets_a_local_rank_only(set_environment):
    cfg = Config(dict(launcher='none', model=dict()))
    launch.prepare_launcher(cfg, local_rank=3)
    assert os.environ['LOCAL_RANK'] == '3'
    assert 'model_wrapper_cfg' not in cfg


def test_ranks_without_a_gpu_use_gloo(set_environment, monkeypatch):
    ranks = dict(RANK='0', WORLD_SIZE='2', MASTER_ADDR='a', MASTER_PORT='1')
    set_environment(ranks)
    created = []
    monkeypatch.setattr(
        torch.distributed,
        'init_process_group',
        lambda backend, timeout: created.append((backend, timeout.seconds)),
    )
    env_cfg = dict(dist_cfg=dict(timeout=60))
    cfg = Config(dict(launcher='pytorch', model={}, env_cfg=env_cfg))
    launch.prepare_launcher(cfg)
    assert created == [('gloo', 60)]
    assert cfg.model_wrapper_cfg.device_ids is None
    cfg = Config(dict(launcher='pytorch', model={}))
    launch.prepare_launcher(cfg)
    assert created[1:] == [('gloo', 1800)]
    # mmengine's own default must not get lost.
    assert cfg.env_cfg.dist_cfg == dict(backend='nccl', timeout=1800)
    # An existing process group is used.
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    launch.prepare_launcher(cfg)
    assert len(created) == 2


def test_ranks_with_gpus_are_left_to_mmengine(set_environment, monkeypatch):
    monkeypatch.setattr(launch, 'has_accelerator', lambda: True)
    set_environment(dict.fromkeys(VARIABLES, '0'))
    norm_cfg = dict(type='SyncBN')
    cfg = Config(dict(launcher='pytorch', model=dict(norm_cfg=norm_cfg)))
    launch.prepare_launcher(cfg)
    assert 'model_wrapper_cfg' not in cfg
    assert cfg.model.norm_cfg.type == 'SyncBN'
    assert not torch.distributed.is_initialized()


def test_cpu_wrapper_replaces_every_sync_bn():
    cfg = common.load_config(
        ADE20K, {'find_unused_parameters': True, 'sync_bn': 'torch'}
    )
    cfg.model.auxiliary_head[2].norm_cfg.type = 'MMSyncBN'
    launch.use_cpu_wrapper(cfg)
    heads = [cfg.model.decode_head, *cfg.model.auxiliary_head]
    assert [h.norm_cfg.type for h in heads] == ['BN'] * 4
    assert all(h.norm_cfg.requires_grad for h in heads)
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=True,
    )
    assert 'sync_bn' not in cfg


@pytest.mark.parametrize('device', ['cpu', 'mps', 'cuda', 'npu'])
def test_devices_of_distributed_training(monkeypatch, device):
    monkeypatch.setattr(launch, 'get_device', lambda: device)
    assert launch.has_accelerator() == (device in ('cuda', 'npu'))
