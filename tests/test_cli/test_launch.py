"""Distributed runs: ranks of launchers, timeouts, runs without a GPU."""

import os

import pytest
import torch
from mmengine.config import Config

from mmdavpt.cli import common, launch
from mmdavpt.cli.launch import LAUNCHER_VARIABLES, TORCHRUN_VARIABLES
from mmdavpt.errors import UsageError

from .test_flags import ADE20K

SLURM = {
    'SLURM_PROCID': '3',
    'SLURM_NTASKS': '4',
    'SLURM_LOCALID': '1',
    'SLURM_JOB_ID': '1234567',
    'SLURM_STEP_NODELIST': 'node[07-08]',
}
MPI = dict(zip(LAUNCHER_VARIABLES['mpi'], '120', strict=True))


@pytest.fixture
def set_environment(monkeypatch, tmp_path):
    """Return a function that sets variables and the output of scontrol."""
    for name in (*TORCHRUN_VARIABLES, 'LOCAL_RANK', 'SLURM_NODELIST', *SLURM):
        # Set first, so that pytest also restores what the code sets.
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')

    def set_variables(variables, scontrol='echo node07; echo node08'):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if scontrol is not None:
            (tmp_path / 'scontrol').write_text(f'#!/bin/sh\n{scontrol}\n')
            (tmp_path / 'scontrol').chmod(0o755)

    return set_variables


@pytest.mark.parametrize(
    'launcher, variables, scontrol, expected',
    [
        ('slurm', SLURM, 'echo node07; echo 8', '3 4 node07 24567 1'),
        (
            'slurm',
            {**SLURM, 'MASTER_ADDR': 'other', 'MASTER_PORT': '7'},
            None,
            '3 4 other 7 1',
        ),
        ('mpi', {**MPI, 'MASTER_ADDR': 'a'}, None, '1 2 a 29500 0'),
    ],
)
def test_torchrun_variables(
    set_environment, launcher, variables, scontrol, expected
):
    set_environment(variables, scontrol)
    launch.set_torchrun_variables(launcher)
    names = (*TORCHRUN_VARIABLES, 'LOCAL_RANK')
    assert ' '.join(os.environ[name] for name in names) == expected


@pytest.mark.parametrize('scontrol', ['exit 3', 'true', None])
def test_slurm_without_node_names(set_environment, scontrol):
    set_environment(SLURM, scontrol)
    with pytest.raises(UsageError, match='Slurm job, but .*MASTER_ADDR'):
        launch.set_torchrun_variables('slurm')


@pytest.mark.parametrize(
    'launcher, variables, words',
    [
        ('slurm', {}, 'SLURM_PROCID.*slurm_train.sh'),
        ('mpi', {}, 'OMPI_COMM_WORLD_RANK.*mpirun'),
        ('mpi', MPI, 'MASTER_ADDR in the environment'),
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
    set_environment(dict.fromkeys(TORCHRUN_VARIABLES, '0'))
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
