"""Costs and origin of a run of an experiment."""

import shlex
import subprocess
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdavpt.checkpoints.tuned import FINGERPRINT, short, strip_frozen
from mmdavpt.unwrap import unwrap
from mmdavpt.version import __version__

#: Names in the message hub, and so in checkpoints, and in ``run.json``.
TIME, MEMORY = 'train_time', 'accelerator_memory_max'


class CostHook(Hook):
    """Measure training time and GPU memory.

    Both are in every checkpoint. A resumed run thus continues from the cost
    of the iterations that it keeps: time between its last checkpoint and the
    interruption, which is spent again, counts once. A run that resumes from
    a checkpoint without them records neither.

    Time includes the first mapping, its refreshes, data loading and
    checkpoints, but neither validation nor the rehearsal.
    """

    # After the rehearsal (35), and before the first mapping (NORMAL, 50) and
    # LoggerHook (60), which resets the peak of the memory.
    priority = 45

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        if runner.iter == 0:
            runner.message_hub.update_info(TIME, 0.0)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._since = perf_counter()

    def after_train_iter(self, runner: Runner, *_, **__) -> None:
        """Add the time since the last call; keep the peak of the memory."""
        hub, now = runner.message_hub, perf_counter()
        if TIME in hub.runtime_info:
            hub.update_info(TIME, hub.get_info(TIME) + now - self._since)
            # 0 on a CPU.
            peak = torch.cuda.max_memory_allocated()
            hub.update_info(MEMORY, max(peak, hub.get_info(MEMORY, 0)))
        self._since = now

    # The rest of the last iteration.
    before_val = after_train = after_train_iter

    def after_val(self, runner: Runner) -> None:
        """Leave out the validation."""
        self._since = perf_counter()


def describe_run(runner: Runner) -> dict:
    """Return the costs and the origin of a trained run.

    Args:
        runner (Runner): The runner, trained with a :class:`CostHook`.

    Returns:
        dict: JSON values. The fields of peft's method comparison:
        ``train_time`` in seconds; ``accelerator_memory_max`` in bytes, None
        on a CPU; ``file_size``, the bytes of a tuned-only file; and
        ``num_trainable_params``. What a result depends on: ``config``, which
        is next to ``run.json``, and its SHA-256; ``commit``; ``protocol``;
        ``num_train_images``; ``backbone_fingerprint``, None if no weight is
        frozen; and ``normalization``, mean and std of pixels from 0 to 255,
        if any.
    """
    model, hub = unwrap(runner.model), runner.message_hub
    tuned = dict(model.state_dict())
    strip_frozen(dict(state_dict=tuned), model)
    mark = tuned.pop(FINGERPRINT, None)
    trained = [p.numel() for p in model.parameters() if p.requires_grad]
    config = Path(runner.work_dir, Path(runner.cfg.filename).name)
    pixels = model.data_preprocessor.named_buffers()
    return dict(
        train_time=hub.get_info(TIME),
        accelerator_memory_max=hub.get_info(MEMORY) or None,
        file_size=sum(value.nbytes for value in tuned.values()),
        num_trainable_params=sum(trained),
        config=config.name,
        config_sha256=sha256(config.read_bytes()).hexdigest(),
        commit=code_version(),
        protocol=runner.cfg.get('protocol'),
        num_train_images=len(runner.train_dataloader.dataset),
        backbone_fingerprint=None if mark is None else short(mark),
        normalization={k: v.flatten().tolist() for k, v in pixels},
    )


def code_version(root: Path = Path(__file__).parents[2]) -> str:
    """Return the commit of a clone of this package.

    Args:
        root (Path): The folder of the package. Defaults to its own.

    Returns:
        str: The hash, with ``-dirty`` if files differ from it; the version of
        the package if this is no clone, or without git.
    """
    # Not of a repository above it, which may contain a virtual environment.
    git = ['git', f'--git-dir={root}/.git', f'--work-tree={root}', 'describe']
    git += ['--always', '--dirty', '--abbrev=40', '--exclude=*']
    failed, text = subprocess.getstatusoutput(shlex.join(git))
    return __version__ if failed else text
