"""Runners that resume exactly and never lose a checkpoint."""

import copy
import os.path as osp
import re
from collections.abc import Mapping

from mmengine.config import Config
from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mmdavpt import checkpoints
from mmdavpt.engine.resuming import stopping
from mmdavpt.engine.resuming.loops import to_exact_loop
from mmdavpt.errors import UsageError
from mmdavpt.ranks import run_on_rank_0
from mmdavpt.registry import RUNNERS


@RUNNERS.register_module()
class DAVPTRunner(Runner):
    """mmengine's runner; it resumes exactly and saves atomically.

    ``tools/train.py`` uses it unless a config sets another ``runner_type``.
    It makes mmengine's checkpoint loader safe for the whole process
    (:func:`mmdavpt.checkpoints.install_safe_loading`).
    """

    #: Whether the work folder has a config that a run must not overwrite.
    keeps_config = False

    def __init__(self, *args, **kwargs) -> None:
        checkpoints.install_safe_loading()
        super().__init__(*args, **kwargs)

    @classmethod
    def from_cfg(cls, cfg: Config | dict) -> 'DAVPTRunner':
        """Build a runner from a config.

        A data preprocessor at the top moves into the model of the config that
        the runner writes: MMSegmentation's inferencers look only there.

        Args:
            cfg (Config | dict): The config. It is copied.

        Raises:
            UsageError: If it needs an engine other than DDP.
        """
        check_engine(cfg)
        cfg = copy.deepcopy(cfg)
        cfg = cfg if isinstance(cfg, Config) else Config(cfg)
        # Each checkpoint and log has the text of the config, and yapf takes
        # up to 2 s for one with 50 classes. mmengine reads this option of the
        # constructor, but cannot set it for a file.
        object.__setattr__(cfg, '_format_python_code', False)
        if (preprocessor := cfg.get('data_preprocessor')) is not None:
            cfg['model'].setdefault('data_preprocessor', preprocessor)
        return super().from_cfg(cfg)

    def train(self) -> nn.Module:
        """Train, and end the workers of the loaders."""
        try:
            return super().train()
        finally:
            stopping.shut_down_workers(self._train_loop, self._val_loop)

    def test(self) -> dict:
        """Test, and end the workers of the loader."""
        try:
            return super().test()
        finally:
            stopping.shut_down_workers(self._test_loop)

    @master_only
    def dump_config(self) -> None:
        """Write the config to the work folder, but not over its source.

        A config that lies in the work folder is written to the folder of this
        run instead, so that its comments stay.
        """
        source = osp.abspath(self.cfg.filename or 'config.py')
        folder = osp.dirname(source)
        inside = self.cfg.filename and osp.samefile(folder, self.work_dir)
        if inside or self.keeps_config:
            self.cfg.dump(osp.join(self.log_dir, osp.basename(source)))
        else:
            super().dump_config()

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the training loop; mmengine's two become exact.

        Args:
            loop (BaseLoop | dict): See
                :meth:`mmengine.runner.Runner.build_train_loop`.
        """
        if isinstance(loop, dict):
            loop = to_exact_loop(loop)
        return super().build_train_loop(loop)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the validation loop, and protect its workers from signals.

        Args:
            loop (BaseLoop | dict): See
                :meth:`mmengine.runner.Runner.build_val_loop`.
        """
        loop = super().build_val_loop(loop)
        stopping.ignore_signals_in_workers(loop.dataloader)
        return loop

    def save_checkpoint(
        self, out_dir: str, filename: str, *args, **kwargs
    ) -> None:
        """Save a checkpoint atomically, on rank 0.

        All ranks call it together, as mmengine's hooks do: an error of rank 0
        is then an error of all ranks.

        Args:
            out_dir (str): The folder.
            filename (str): The name of the file.
            *args: See :meth:`mmengine.runner.Runner.save_checkpoint`.
            **kwargs: See there.

        Raises:
            SaveError: If it cannot be written; an older file of that name is
                unchanged.
        """
        save = super().save_checkpoint

        def work() -> None:
            if '://' in str(out_dir):  # remote storages replace atomically
                save(out_dir, filename, *args, **kwargs)
                return
            path = osp.join(out_dir, filename)
            with checkpoints.atomic_write(path) as partial:
                save(out_dir, osp.basename(partial), *args, **kwargs)

        run_on_rank_0(work)

    def load_or_resume(self) -> None:
        """Load or resume; without a path, from the newest intact checkpoint.

        Raises:
            UsageError: If the work folder has checkpoints, but none of them
                is intact.
        """
        if self._resume and self._load_from is None and not self._has_loaded:
            self._load_from, notes = checkpoints.last_checkpoint(self.work_dir)
            for note in notes:
                self.logger.warning(note)
            self._resume = self._load_from is not None
        super().load_or_resume()

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register the default hooks, with our hook for checkpoints.

        Args:
            hooks (dict, optional): See
                :meth:`mmengine.runner.Runner.register_default_hooks`.
                Defaults to None.
        """
        hooks = dict(hooks or {})
        hook = hooks.get('checkpoint', dict(type='CheckpointHook', interval=1))
        theirs = ('CheckpointHook', CheckpointHook)
        if isinstance(hook, dict) and hook.get('type') in theirs:
            hook = dict(hook, type='mmdavpt.DAVPTCheckpointHook')
        super().register_default_hooks(dict(hooks, checkpoint=hook))

    def register_hooks(self, *args, **kwargs) -> None:
        """Register the hooks, and the one that compares ranks.

        Args:
            *args: See :meth:`mmengine.runner.Runner.register_hooks`.
            **kwargs: See there.
        """
        super().register_hooks(*args, **kwargs)
        self.register_hook(dict(type='mmdavpt.AgreementHook'))


@RUNNERS.register_module()
class DAVPTTestRunner(DAVPTRunner):
    """The runner of ``tools/test.py``; it keeps the config of the training.

    mmengine would overwrite it, although checkpoints are loaded with it later.
    """

    keeps_config = True


#: In the names of mmengine's runners and wrappers of these engines.
OTHER_ENGINES = 'FlexibleRunner|FullySharded|FSDP|DeepSpeed|Col+os+alAI'
#: The keys that choose an engine.
KEYS = ('runner_type', 'strategy', 'model_wrapper_cfg', 'optim_wrapper')


def check_engine(cfg: Config | dict) -> None:
    """Check that a run needs no engine other than DDP.

    mmengine's ``FlexibleRunner`` builds the model only when the training
    starts, too late for strict loading and for the hooks that read it.

    Args:
        cfg (Config | dict): The config.

    Raises:
        UsageError: If it names ``FlexibleRunner``, a strategy for it, or a
            wrapper of FSDP, DeepSpeed or ColossalAI.
    """
    for key in KEYS:
        given = cfg.get(key)
        kind = given.get('type') if isinstance(given, Mapping) else given
        name = getattr(kind, '__name__', str(kind))
        if re.search(OTHER_ENGINES, name) or (key == 'strategy' and given):
            path = f'{key}.type' if 'wrapper' in key else key
            raise UsageError(
                f'`{path}` is {name}, but trainings run with DDP only '
                f'(docs/reliability.md says why); remove `{path}` and start '
                'with tools/dist_train.sh or tools/slurm_train.sh'
            )
