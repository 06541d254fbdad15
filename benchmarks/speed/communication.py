"""Count and time what processes send each other in a training step."""

import os
import socket
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import (
    allreduce_hook,
)
from torch.nn.parallel import DistributedDataParallel

from mmdavpt.mapping.agreement import check_same_mapping

from .cases import Case, build_model, make_batch


def reduced_bytes(model: nn.Module) -> dict[str, int]:
    """Return the bytes that each step sums over processes.

    Args:
        model (nn.Module): A classifier or a segmentor.

    Returns:
        dict[str, int]: ``prompts`` (with bias deltas), ``head`` and
        ``statistics``: sums and counts of classes, and the mapping. Prompts
        and head are gradients.
    """
    of_backbone = of_head = 0
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith('backbone.'):
            of_backbone += parameter.nbytes
        else:
            of_head += parameter.nbytes
    statistics = 0
    if model.guidance is not None:
        guidance = model.guidance
        statistics = (
            guidance.new_sums.nbytes
            + guidance.new_counts.nbytes
            + guidance.mapping.nbytes
        )
    return dict(prompts=of_backbone, head=of_head, statistics=statistics)


def bytes_of(case: Case, form: str = 'davpt') -> dict[str, int]:
    """Return the bytes of a case without allocating it.

    Args:
        case (Case): The case.
        form (str): Key of ``FORMS``. Defaults to 'davpt'.
    """
    with FakeTensorMode():
        return reduced_bytes(build_model(case, form))


def ring_seconds(num_bytes: int, devices: int, bytes_per_second: float):
    """Return the seconds of a ring all-reduce without latency.

    Each device sends and receives ``2 (n - 1) / n`` of the message.

    Args:
        num_bytes (int): The size of the message.
        devices (int): The number of devices ``n``.
        bytes_per_second (float): Rate of the slowest link.
    """
    return 2 * (devices - 1) / devices * num_bytes / bytes_per_second


def run_processes(case: Case, processes: int, rounds: int) -> dict:
    """Train with several gloo processes on this machine's CPU.

    Each has one thread and its own batch.

    Args:
        case (Case): The case, with the batch of a process.
        processes (int): The number of processes.
        rounds (int): Timed steps.

    Returns:
        dict: Of rank 0: ``seconds`` and ``cpu``, the wall and processor time
        of each step, and ``sent``, the bytes that it sums in a step.
    """
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
        free.close()
        path = os.path.join(folder, 'result.pt')
        mp.spawn(
            _train, (case, processes, rounds, port, path), nprocs=processes
        )
        return torch.load(path, weights_only=True)


def _train(
    rank: int, case: Case, processes: int, rounds: int, port: int, path: str
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo',
        init_method=f'tcp://127.0.0.1:{port}',
        rank=rank,
        world_size=processes,
    )
    torch.manual_seed(0)
    model = build_model(case, 'davpt').train()
    guidance = model.guidance
    images, samples = make_batch(case, 'cpu')
    wrapped = DistributedDataParallel(model, broadcast_buffers=False)
    sent = 0

    def counted(state, bucket):
        nonlocal sent
        sent += bucket.buffer().nbytes
        return allreduce_hook(state, bucket)

    wrapped.register_comm_hook(None, counted)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-5
    )
    seconds, cpu = [], []
    for _ in range(rounds + 2):
        sent = 0
        dist.barrier()
        start, busy = time.perf_counter(), time.process_time()
        losses = wrapped(images, samples, mode='loss')
        model.parse_losses(losses)[0].backward()
        optimizer.step()
        optimizer.zero_grad()
        sent += guidance.new_sums.nbytes
        sent += guidance.new_counts.nbytes + guidance.mapping.nbytes
        guidance.collect()
        check_same_mapping(guidance.mapping)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    if rank == 0:
        result = dict(seconds=seconds[2:], cpu=cpu[2:], sent=sent)
        torch.save(result, Path(path))
    dist.barrier()
    dist.destroy_process_group()
