"""Time several forms in turn in one process."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

#: Wall time, or processor time of all threads of this process.
CLOCKS = dict(wall=time.perf_counter, processor=time.process_time)
#: Precision to the type of the operands of matrix products. TF32 rounds those
#: of float32 in the tensor cores of a GPU.
PRECISIONS = dict(
    fp32=torch.float32,
    tf32=torch.float32,
    bf16=torch.bfloat16,
    fp16=torch.float16,
)


def interleave(
    runs: Mapping[str, Callable[[], Any]],
    rounds: int,
    warmup: int,
    device: str,
    clock: str = 'wall',
) -> dict[str, list[float]]:
    """Time all runs in turn, so that a slow spell of the machine hits all.

    Each round begins with the next run: no run always follows the same one.

    Args:
        runs (Mapping[str, Callable]): Name to the code to time.
        rounds (int): Timed rounds.
        warmup (int): Rounds before those, which do not count.
        device (str): The device; a GPU is synchronized.
        clock (str): Key of ``CLOCKS``. Defaults to 'wall'.

    Returns:
        dict[str, list[float]]: Name to seconds, in the order of rounds.
    """
    names, now = list(runs), CLOCKS[clock]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(warmup + rounds):
        shift = i % len(names)
        for name in names[shift:] + names[:shift]:
            synchronize(device)
            start = now()
            runs[name]()
            synchronize(device)
            if i >= warmup:
                seconds[name].append(now() - start)
    return seconds


def synchronize(device: str) -> None:
    """Wait until the device has finished."""
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, first and third quartile.

    Args:
        values (Sequence[float]): At least one value.
    """
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method='inclusive')
    return middle, low, high


def paired_ratio(
    values: Sequence[float], reference: Sequence[float]
) -> tuple[float, float, float]:
    """Return the spread of the ratios within rounds.

    Args:
        values (Sequence[float]): Seconds of one run, by round.
        reference (Sequence[float]): Seconds of another run.
    """
    return spread([a / b for a, b in zip(values, reference, strict=True)])


def matmul_rate(
    device: str, precision: str, clock: str = 'wall', rounds: int = 10
) -> float:
    """Return the operations per second of a large matrix product.

    This is the most that a step can reach in practice.

    Args:
        device (str): The device.
        precision (str): Key of :data:`PRECISIONS`.
        clock (str): Key of ``CLOCKS``. Defaults to 'wall'.
        rounds (int): The best of these counts. Defaults to 10.
    """
    on_gpu = torch.device(device).type == 'cuda'
    size = 8192 if on_gpu else 1024
    dtype = PRECISIONS[precision]
    a, b = torch.randn(2, size, size, device=device, dtype=dtype)
    with float32_products(precision):
        runs = {'product': lambda: a @ b}
        seconds = interleave(runs, rounds, 2, device, clock)
    return 2 * size**3 / min(seconds['product'])


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """Compute products of float32 in TF32 if that is the precision.

    Args:
        precision (str): Key of :data:`PRECISIONS`.
    """
    before = torch.get_float32_matmul_precision()
    tf32 = precision == 'tf32'
    torch.set_float32_matmul_precision('high' if tf32 else 'highest')
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def gpu_peak(run: Callable[[], Any], device: str) -> int | None:
    """Return the peak bytes that a run allocates on a GPU.

    Args:
        run (Callable): The code to measure.
        device (str): The device.

    Returns:
        int | None: None on a CPU, where :class:`.counting.LiveBytes` counts.
    """
    if torch.device(device).type != 'cuda':
        return None
    synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
