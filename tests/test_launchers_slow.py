"""Whole trainings on several machines, all on this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import toy

TOOLS = Path(__file__).resolve().parents[1] / 'tools'


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


@pytest.fixture
def config(tmp_path):
    """Return the path of a config of 2 epochs of 3 iterations."""
    values = toy.classification(
        tmp_path / 'work', {'train_dataloader.batch_size': 4}
    )
    values.pop('experiment_name')
    path = tmp_path / 'tiny.py'
    path.write_text('\n'.join(f'{k} = {v!r}' for k, v in values.items()))
    return path


def environment(**variables):
    return {
        **os.environ,
        'PYTHON': sys.executable,
        'OMP_NUM_THREADS': '1',
        **variables,
    }


def start(command, log, **variables):
    return subprocess.Popen(
        [str(word) for word in command],
        stdout=log.open('w'),
        stderr=subprocess.STDOUT,
        env=environment(**variables),
    )


@pytest.mark.slow
@pytest.mark.parametrize('launcher', ['dist_train.sh', 'torchrun'])
def test_two_machines(config, tmp_path, launcher):
    port = str(free_port())
    command = [TOOLS / 'dist_train.sh', config, 1]
    if launcher == 'torchrun':
        where = ['--rdzv_id=1', '--rdzv_backend=c10d']
        where += [f'--rdzv_endpoint=127.0.0.1:{port}']
        command = [sys.executable, '-m', 'torch.distributed.run']
        command += ['--nnodes=2', '--nproc_per_node=1', *where]
        command += ['-m', 'mmdavpt.cli', 'train', config]
        command += ['--launcher', 'pytorch']
    logs = [tmp_path / f'{node}.log' for node in range(2)]
    nodes = [
        start(
            command,
            logs[node],
            NNODES='2',
            NODE_RANK=str(node),
            MASTER_ADDR='127.0.0.1',
            PORT=port,
        )
        for node in range(2)
    ]
    codes = [node.wait() for node in nodes]
    assert codes == [0, 0], logs[0].read_text()[-2000:]
    assert (tmp_path / 'work' / 'epoch_2.pth').is_file()
    assert 'on cpu, 2 processes' in logs[0].read_text()


@pytest.mark.slow
def test_a_lost_machine_ends_the_other(config, tmp_path):
    port = str(free_port())
    logs = [tmp_path / f'{node}.log' for node in range(2)]
    nodes = [
        start(
            [
                TOOLS / 'dist_train.sh',
                config,
                1,
                '--cfg-options',
                'train_cfg.max_epochs=10000',
            ],
            logs[node],
            NNODES='2',
            NODE_RANK=str(node),
            MASTER_ADDR='127.0.0.1',
            PORT=port,
        )
        for node in range(2)
    ]
    while not (tmp_path / 'work' / 'epoch_2.pth').is_file():
        assert nodes[0].poll() is None, logs[0].read_text()[-2000:]
        time.sleep(0.1)
    children = Path(f'/proc/{nodes[1].pid}/task/{nodes[1].pid}/children')
    workers = [int(pid) for pid in children.read_text().split()]
    nodes[1].kill()
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    lost = time.monotonic()
    assert nodes[0].wait() == 1
    # A bound against hanging, not a measurement.
    assert time.monotonic() - lost < 120
    last = logs[0].read_text().splitlines()[-1]
    assert 'dist_launch.py: error: rank 0' in last
    assert last.endswith('resumes a training from its last checkpoint')
    assert nodes[1].wait() == -signal.SIGKILL
