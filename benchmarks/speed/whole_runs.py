"""Whole trainings on the embedded glyph task, each in processes of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdavpt.checkpoints.safe_loading import load_checked_file
from mmdavpt.cli.experiment_record import MEMORY, TIME, CostHook
from mmdavpt.visualization import read_scalars

from ..soak.kills import compare

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'glyphs' / 'davpt_glyphs.py'
#: Equal bits on a GPU need deterministic kernels, and a fixed workspace of
#: cuBLAS (PyTorch, "Reproducibility"). NCCL prints its version.
ENVIRONMENT = dict(
    CUBLAS_WORKSPACE_CONFIG=':4096:8',
    NCCL_DEBUG='VERSION',
    OMP_NUM_THREADS='1',
)
#: Method to its changes of the config (configs/glyphs/README.md).
METHODS = {
    'linear': [
        'model.guidance=None',
        'model.backbone.num_prompts=0',
        'optim_wrapper.optimizer.lr=0.02',
    ],
    'vpt': ['model.guidance=None'],
    'davpt': [],
}
#: What the states of two runs are compared by.
STATES = ('state_dict', 'optimizer', 'param_schedulers')


def execute(command: Sequence[str], log: Path, device: str) -> None:
    """Run a command in the clone until it ends.

    Args:
        command (Sequence[str]): The command.
        log (Path): Where its output goes.
        device (str): 'cpu' hides the GPUs.

    Raises:
        RuntimeError: If it fails, with the last line of its output.
    """
    environment = {**os.environ, **ENVIRONMENT, 'PYTHON': sys.executable}
    if device == 'cpu':
        environment['CUDA_VISIBLE_DEVICES'] = ''
    with log.open('w') as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=ROOT,
        )
        try:
            code = process.wait()
        except BaseException:
            process.terminate()  # the launcher passes it on
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    if code:
        lines = log.read_text().strip().splitlines() or ['no output']
        raise RuntimeError(f'exit code {code}: {lines[-1]}')


def train(
    work_dir: Path,
    device: str,
    images: int,
    epochs: int,
    *options: str,
    flags: Sequence[str] = (),
    end: int | None = None,
    processes: int = 0,
) -> str:
    """Train on glyphs as ``mmdavpt train`` does; return the output.

    It validates after each epoch, and keeps all checkpoints.

    Args:
        work_dir (Path): The work folder.
        device (str): 'cuda' or 'cpu'.
        images (int): Training images, and validation images.
        epochs (int): Epochs, at least 2.
        *options (str): Further changes of the config, as ``KEY=VALUE``.
        flags (Sequence[str]): Further arguments. Defaults to none.
        end (int, optional): The epoch at which the schedule ends. Defaults to
            ``epochs``.
        processes (int): Processes of tools/dist_train.sh. Defaults to 0: a
            process without it.
    """
    start = [sys.executable, str(ROOT / 'tools' / 'train.py'), str(CONFIG)]
    if processes:
        script = str(ROOT / 'tools' / 'dist_train.sh')
        start = ['bash', script, str(CONFIG), str(processes)]
    hooks = 'mmdavpt.PromptMappingHook', f'{CostHook.__module__}.CostHook'
    types = ','.join(f'dict(type="{name}")' for name in hooks)
    changes = [
        f'train_dataloader.dataset.num_images={images}',
        f'val_dataloader.dataset.num_images={images}',
        f'train_cfg.max_epochs={epochs}',
        'train_cfg.val_interval=1',
        'default_hooks.checkpoint.max_keep_ckpts=-1',
        'param_scheduler.0.end=1',
        'param_scheduler.1.begin=1',
        f'param_scheduler.1.end={end or epochs}',
        f'custom_hooks=[{types}]',
        *options,
    ]
    # A schedule that ends later than the run is a mistake elsewhere.
    flags = ['--work-dir', str(work_dir), '--no-check', *flags]
    log = work_dir.with_suffix('.log')
    execute([*start, *flags, '--cfg-options', *changes], log, device)
    return log.read_text()


def final_state(work_dir: Path, epoch: int) -> dict:
    """Return weights, optimizer and schedules after an epoch.

    Args:
        work_dir (Path): The work folder.
        epoch (int): The epoch, from 1.
    """
    content = load_checked_file(str(work_dir / f'epoch_{epoch}.pth'), 'cpu')
    return {name: content[name] for name in STATES}


def check_resume(
    folder: Path, device: str, images: int, epochs: int
) -> dict[str, object]:
    """Compare a run that stopped at its half with an uninterrupted one.

    Args:
        folder (Path): The parent of the work folders.
        device (str): 'cuda' or 'cpu'.
        images (int): Training images.
        epochs (int): Epochs, an even number of at least 4.

    Raises:
        RuntimeError: If the second half did not resume, or if a bit differs.
    """
    given, exact = (device, images), 'randomness.deterministic=True'
    train(folder / 'whole', *given, epochs, exact)
    train(folder / 'stopped', *given, epochs // 2, exact, end=epochs)
    flags = dict(flags=['--resume'])
    said = train(folder / 'stopped', *given, epochs, exact, **flags)
    if f'epoch_{epochs // 2}.pth' not in said:
        raise RuntimeError('--resume did not use the checkpoint of the half')
    whole, resumed = (
        final_state(folder / name, epochs) for name in ('whole', 'stopped')
    )
    different = compare(whole, resumed)
    if different:
        raise RuntimeError(
            f'{len(different)} values differ after resuming: {different[:4]}'
        )
    number = len(whole['state_dict'])
    return dict(
        run=f'{epochs // 2} + {epochs // 2} epochs against {epochs}',
        tensors=number,
        result=f'equal bits: {number} tensors of the model, the optimizer, '
        'the schedules',
    )


def check_distributed(
    folder: Path, device: str, images: int, epochs: int
) -> dict[str, object]:
    """Train in one process of tools/dist_train.sh: NCCL, or gloo on a CPU.

    Args:
        folder (Path): The parent of the work folders. If it has the run
            'whole' of :func:`check_resume`, the weights are compared.
        device (str): 'cuda' or 'cpu'.
        images (int): Training images.
        epochs (int): Epochs, as in :func:`check_resume`.

    Returns:
        dict: ``nccl``, the version that NCCL prints, None on a CPU; and
        ``equal``, None without that run.
    """
    exact = 'randomness.deterministic=True'
    given = folder / 'distributed', device, images, epochs, exact
    said = train(*given, processes=1)
    version = re.search(r'NCCL version (\S+)', said)
    version = version and version[1]
    equal, text = None, ''
    if (folder / 'whole' / f'epoch_{epochs}.pth').is_file():
        states = [
            final_state(folder / name, epochs)['state_dict']
            for name in ('whole', 'distributed')
        ]
        equal = not compare(*states)
        text = 'the same bits as' if equal else 'other bits than'
        text = f'; {text} one process'
    backend = f'NCCL {version}' if version else 'NCCL printed no version'
    if device == 'cpu':
        backend = 'gloo'
    return dict(
        run=f'dist_train.sh with 1 process, {epochs} epochs',
        nccl=version,
        equal=equal,
        result=f'trained with {backend}{text}',
    )


def accuracy_curve(
    work_dir: Path, device: str, images: int, epochs: int, method: str
) -> dict[str, list[float]]:
    """Return the accuracy after each epoch, and when it was reached.

    Args:
        work_dir (Path): The work folder.
        device (str): 'cuda' or 'cpu'.
        images (int): Training images, and validation images.
        epochs (int): Epochs.
        method (str): Key of :data:`METHODS`, with `` amp`` for mixed
            precision: float16 with a scaled loss on a GPU, bfloat16 on a CPU.

    Returns:
        dict: ``top1`` in percent; ``seconds`` of training until then, see
        :class:`.CostHook`; and ``allocated``, the peak bytes.
    """
    name, _, amp = method.partition(' ')
    flags = ['--amp'] if amp else []
    train(work_dir, device, images, epochs, *METHODS[name], flags=flags)
    infos = [
        load_checked_file(str(work_dir / f'epoch_{i}.pth'), 'cpu')
        for i in range(1, epochs + 1)
    ]
    infos = [info['message_hub']['runtime_info'] for info in infos]
    return dict(
        top1=[*read_scalars(work_dir)['accuracy/top1'][1]],
        seconds=[info[TIME] for info in infos],
        allocated=infos[-1][MEMORY],
    )


def seconds_until(curve: dict, target: float) -> float | None:
    """Return the seconds of training until an accuracy, None if never.

    Args:
        curve (dict): See :func:`accuracy_curve`.
        target (float): The accuracy in percent.
    """
    pairs = zip(curve['top1'], curve['seconds'], strict=True)
    return next((s for top1, s in pairs if top1 >= target), None)
