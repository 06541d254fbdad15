"""Diagnose the installation: versions, devices, memory, threads.

    mmdavpt doctor
    mmdavpt doctor CONFIG --work-dir RUNS

prints what a training would use, and for each problem a sentence with a fix.
With a config, it also checks the config, its data and its weights, without
training; `mmdavpt check` reads all the data and rehearses a step.

The exit status is 1 if there is a problem.
"""

import argparse
import os
import platform
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

if find_spec('mmdavpt') is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmdavpt.cli import options  # noqa: E402
from mmdavpt.cli.messages import check_config_exists  # noqa: E402
from mmdavpt.errors import UsageError  # noqa: E402
from mmdavpt.shipped import locate_config  # noqa: E402
from mmdavpt.version import __version__  # noqa: E402

GIB = 2**30
#: Less memory, disk space and shared memory than this is a problem.
LEAST_MEMORY, LEAST_DISK, LEAST_SHARED = 4 * GIB, 2 * GIB, 1 * GIB
SHARED_MEMORY = Path('/dev/shm')
#: Limits of a container's memory.
CGROUP = Path('/sys/fs/cgroup')
#: Exists if the kernel has NVIDIA's driver.
DRIVER = Path('/proc/driver/nvidia/version')
#: Libraries whose import fails if their versions do not fit.
IMPORTED = ('torchvision', 'mmcv', 'mmseg.models', 'mmdavpt.models')
#: A fact, and what is wrong with it and what to do, or ''.
Finding = tuple[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a diagnosis."""
    parser.add_argument(
        'config', nargs='?', type=locate_config, help='config to check'
    )
    parser.add_argument(
        '--work-dir',
        default='work_dirs',
        help='folder whose disk should have space (work_dirs)',
    )
    options.add_shared(parser, '--cfg-options', '--protocol')


def find_versions(requirements: Sequence[str]) -> Iterator[Finding]:
    """Yield the installed versions, and those outside of the tested ranges.

    Args:
        requirements (Sequence[str]): Those of the package, such as
            'torch<3,>=2.6' and 'peft<0.22,>=0.21; extra == "peft"'.
    """
    from packaging.requirements import Requirement

    for text in requirements:
        need = Requirement(text)
        extra = re.search(r'extra == .(\w+)', str(need.marker))
        if extra and extra[1] == 'dev':
            continue
        ranges = str(need.specifier)
        name = f'{need.name} ({extra[1]})' if extra else need.name
        what = f'mmdavpt[{extra[1]}]' if extra else need.name + ranges
        fix = f"run `pip install '{what}'`"
        try:
            have = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            lacks = f'{need.name} is not installed; {fix}'
            yield f'{name}: not installed', '' if extra else lacks
            continue
        wrong = (
            ''
            if have in need.specifier
            else (
                f'{need.name} {have} is outside of the tested range '
                f'{ranges}; {fix}'
            )
        )
        yield f'{name} {have}', wrong


def find_broken_imports() -> Iterator[Finding]:
    """Yield libraries that are installed but cannot be imported."""
    for name in IMPORTED:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')
                import_module(name)
        except Exception as error:  # whatever a library raises
            yield (
                f'{name}: not importable',
                f'`import {name}` fails with {type(error).__name__}: '
                f'{" ".join(str(error).split())}; reinstall it in the version '
                'of requirements/tested.txt',
            )


def find_devices() -> Iterator[Finding]:
    """Yield the devices of PyTorch, and a GPU that it cannot use."""
    import torch

    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        yield (
            f'GPU {index}: {torch.cuda.get_device_name(index)}, '
            f'{free / GIB:.1f} of {total / GIB:.1f} GiB free',
            f'GPU {index} is full; end the other processes that use it '
            '(`nvidia-smi` lists them)' * (free < total / 10),
        )
    if torch.cuda.device_count() == 0:
        build = torch.version.cuda or 'no CUDA'
        yield (
            'GPU: none; a CPU trains small models only',
            f'there is an NVIDIA driver, but PyTorch ({build}) finds no GPU; '
            'install the PyTorch of the CUDA version that `nvidia-smi` '
            'prints, and check CUDA_VISIBLE_DEVICES' * DRIVER.exists(),
        )


def free_memory() -> int:
    """Return the free memory of the machine or the container, in bytes."""
    lines = Path('/proc/meminfo').read_text().splitlines()
    sizes = dict(line.split()[:2] for line in lines)
    free = int(sizes['MemAvailable:']) * 1024
    limit, used = (CGROUP / f'memory.{name}' for name in ('max', 'current'))
    if limit.exists() and (text := limit.read_text().strip()) != 'max':
        free = min(free, int(text) - int(used.read_text()))
    return free


def find_memory(work_dir: str) -> Iterator[Finding]:
    """Yield free memory, and what may be too little of it.

    Args:
        work_dir (str): The folder of the runs; need not exist.
    """
    free = free_memory()
    yield (
        f'memory: {free / GIB:.1f} GiB free',
        'memory is short; end other programs, or reduce the batch size and '
        '`num_workers`' * (free < LEAST_MEMORY),
    )
    folder = Path(work_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    yield (
        f'disk of {work_dir}: {free / GIB:.1f} GiB free',
        f'the disk of {work_dir} is almost full; delete old checkpoints, or '
        'choose another --work-dir' * (free < LEAST_DISK),
    )
    if not os.access(folder, os.W_OK):
        yield (
            f'{folder}: read-only',
            f'{folder} cannot be written; choose another --work-dir',
        )
    if SHARED_MEMORY.exists():
        free = shutil.disk_usage(SHARED_MEMORY).free
        yield (
            f'shared memory: {free / GIB:.1f} GiB free',
            'shared memory is short, and data loaders may crash; start the '
            'container with --shm-size=8g, or set num_workers=0'
            * (free < LEAST_SHARED),
        )


def find_threads() -> Iterator[Finding]:
    """Yield the threads of PyTorch; more than cores make it very slow."""
    import torch

    threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
    setting = os.environ.get('OMP_NUM_THREADS', 'not set')
    yield (
        f'threads: {threads} on {cores} cores (OMP_NUM_THREADS is {setting})',
        f'{threads} threads share {cores} cores; set OMP_NUM_THREADS={cores}'
        * (threads > cores),
    )


def find_in_config(args: argparse.Namespace) -> Iterator[Finding]:
    """Yield what is wrong with a config, its weights and its data.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`.
    """
    from mmdavpt.checks.data.before_run import check_run_data
    from mmdavpt.checks.preflight import preflight
    from mmdavpt.cli.common import load_config

    try:
        check_config_exists(args.config)
        cfg = load_config(args.config, args.cfg_options, args.protocol)
    except UsageError as error:
        yield f'config {args.config}: not readable', str(error)
        return
    for name, check in (
        ('config and weights', preflight),
        ('data', check_run_data),
    ):
        try:
            for warning in check(cfg, True):
                yield f'{name}: warning', warning
            yield f'{name} of {args.config}: checked', ''
        except UsageError as error:
            yield f'{name} of {args.config}: cannot be used', str(error)


def main(argv: Sequence[str] | None = None) -> int:
    """Print facts and problems.

    Args:
        argv (Sequence[str], optional): The arguments. Defaults to
            ``sys.argv[1:]``.

    Returns:
        int: The exit status: 1 if there is a problem.
    """
    args = options.parse_arguments(add_arguments, argv)
    print(f'mmdavpt {__version__}, Python {platform.python_version()}')
    problems = []
    for fact, problem in find_all(args):
        print(fact)
        problems += [problem] if problem else []
    for problem in problems:
        print(f'problem: {problem}')
    print('no problems' if not problems else f'problems: {len(problems)}')
    return int(bool(problems))


def find_all(args: argparse.Namespace) -> Iterator[Finding]:
    """Yield all findings.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`.
    """
    try:
        requirements = metadata.requires('mmdavpt') or []
    except metadata.PackageNotFoundError:
        yield (
            'mmdavpt is not installed, so versions are not checked',
            'mmdavpt runs from a clone without being installed; run '
            '`pip install -e .` in the clone',
        )
        requirements = []
    yield from find_versions(requirements)
    broken = [*find_broken_imports()]
    yield from broken
    if not broken:
        yield from find_devices()
        yield from find_threads()
    yield from find_memory(args.work_dir)
    if args.config is not None and not broken:
        from mmdavpt.cli.console import quiet_console

        with quiet_console():
            yield from find_in_config(args)


if __name__ == '__main__':
    raise SystemExit(main())
