"""Who is who in a run of several processes, by what launchers say."""

import os

import pytest
from mmengine.config import Config

from mmdavpt.cli import launch
from mmdavpt.cli.launcher_variables import (
    OWN_VARIABLES,
    TORCHRUN_VARIABLES,
    use_variables,
)
from mmdavpt.errors import UsageError

SLURM = {
    'SLURM_PROCID': '3',
    'SLURM_NTASKS': '4',
    'SLURM_LOCALID': '1',
    'SLURM_JOB_ID': '1234567',
    'SLURM_STEP_NODELIST': 'node[07-08]',
}


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """Return a function that sets variables and what `scontrol` does."""
    for name in (*TORCHRUN_VARIABLES, 'LOCAL_RANK', 'SLURM_NODELIST', *SLURM):
        # Set first, so that what the code sets is taken back too.
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')

    def make(variables, scontrol='echo node07; echo node08'):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if scontrol is not None:
            (tmp_path / 'scontrol').write_text(f'#!/bin/sh\n{scontrol}\n')
            (tmp_path / 'scontrol').chmod(0o755)

    return make


def torchruns():
    return {
        name: os.environ.get(name)
        for name in (*TORCHRUN_VARIABLES, 'LOCAL_RANK')
    }


def test_slurm(environment):
    environment(SLURM)
    use_variables('slurm')
    assert torchruns() == dict(
        RANK='3',
        WORLD_SIZE='4',
        LOCAL_RANK='1',
        MASTER_ADDR='node07',
        MASTER_PORT='24567',
    )


def test_slurm_on_one_machine_asks_nobody(environment):
    environment({**SLURM, 'SLURM_STEP_NODELIST': 'node3'}, scontrol='exit 1')
    use_variables('slurm')
    assert os.environ['MASTER_ADDR'] == 'node3'


def test_what_is_set_by_hand_stays(environment):
    environment(
        {**SLURM, 'MASTER_ADDR': 'other', 'MASTER_PORT': '7'}, scontrol=None
    )
    use_variables('slurm')
    assert torchruns()['MASTER_ADDR'] == 'other'
    assert torchruns()['MASTER_PORT'] == '7'


@pytest.mark.parametrize(
    'scontrol,words',
    [('exit 3', 'exit status 3'), ('true', 'exit status 0')],
)
def test_slurm_that_does_not_know_its_machines(environment, scontrol, words):
    environment(SLURM, scontrol)
    with pytest.raises(UsageError, match=f'{words}.*set MASTER_ADDR'):
        use_variables('slurm')


def test_open_mpi(environment):
    values = dict(zip(OWN_VARIABLES['mpi'].values(), '120', strict=True))
    environment({**values, 'MASTER_ADDR': 'a'})
    use_variables('mpi')
    assert torchruns() == dict(
        RANK='1',
        WORLD_SIZE='2',
        LOCAL_RANK='0',
        MASTER_ADDR='a',
        MASTER_PORT='29500',
    )


@pytest.mark.parametrize(
    'launcher,program',
    [('slurm', 'slurm_train.sh'), ('mpi', 'mpirun'), ('pytorch', 'dist_tr')],
)
def test_a_process_that_nobody_launched(environment, launcher, program):
    environment({})
    with pytest.raises(UsageError, match=f'(?s){program}.*not in the envir'):
        launch.prepare_launcher(Config(dict(launcher=launcher, model={})))


def test_mpi_does_not_say_where_rank_0_is(environment):
    environment(dict(zip(OWN_VARIABLES['mpi'].values(), '120', strict=True)))
    with pytest.raises(UsageError, match='MASTER_ADDR is not in the envir'):
        launch.prepare_launcher(Config(dict(launcher='mpi', model={})))


def test_timeout():
    cfg = Config(dict(model={}))
    assert launch.set_timeout(cfg) == 1800
    # What mmengine uses by itself must not get lost by it.
    assert cfg.env_cfg.dist_cfg == dict(backend='nccl', timeout=1800)
    cfg.env_cfg.dist_cfg.timeout = 60
    assert launch.set_timeout(cfg) == 60
    for bad in (0, '60', True):
        cfg.env_cfg.dist_cfg.timeout = bad
        with pytest.raises(UsageError, match='should be the seconds'):
            launch.set_timeout(cfg)


def test_ranks_without_a_gpu_meet_by_gloo(environment, monkeypatch):
    environment(
        dict(RANK='0', WORLD_SIZE='2', MASTER_ADDR='here', MASTER_PORT='1')
    )
    made = []
    monkeypatch.setattr(
        launch.torch.distributed,
        'init_process_group',
        lambda backend, timeout: made.append((backend, timeout.seconds)),
    )
    cfg = Config(
        dict(
            launcher='pytorch',
            model={},
            env_cfg=dict(dist_cfg=dict(timeout=60)),
        )
    )
    launch.prepare_launcher(cfg, local_rank=3)
    assert made == [('gloo', 60)]
    assert cfg.model_wrapper_cfg.device_ids is None
    assert os.environ['LOCAL_RANK'] == '3'
    # One that was made before is used.
    monkeypatch.setattr(
        launch.torch.distributed, 'is_initialized', lambda: True
    )
    launch.prepare_launcher(cfg)
    assert len(made) == 1


@pytest.mark.parametrize(
    'cfg, rank, said',
    [
        (dict(model=dict(norm_cfg=dict(type='SyncBN'))), '0', True),
        (dict(model={}, sync_bn='torch'), '0', True),
        (dict(model={}, sync_bn='torch'), '1', False),
        (dict(model=dict(norm_cfg=dict(type='BN'))), '0', False),
    ],
)
def test_one_process_says_what_becomes_of_sync_bn(
    monkeypatch, capsys, cfg, rank, said
):
    monkeypatch.setenv('RANK', rank)
    launch.use_cpu_wrapper(Config(cfg))
    assert ('SyncBN needs GPUs' in capsys.readouterr().err) == said


@pytest.mark.parametrize('device', ['cpu', 'mps', 'cuda', 'npu'])
def test_what_distributed_training_runs_on(monkeypatch, device):
    monkeypatch.setattr(launch, 'get_device', lambda: device)
    assert launch.has_accelerator() == (device in ('cuda', 'npu'))
