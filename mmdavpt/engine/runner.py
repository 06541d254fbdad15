"""The runner of the tools: mmengine's, with promises that the host lacks."""

import os.path as osp

from mmengine.dist import master_only
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mmdavpt.checkpoints import (
    atomic_write,
    install_safe_loading,
    last_checkpoint,
)
from mmdavpt.registry import RUNNERS

from .ranks.on_main import on_main
from .resuming.loops import to_exact_loop
from .resuming.stopping import ignore_signals_in_workers
from .workers import shut_down_workers


@RUNNERS.register_module()
class DAVPTRunner(Runner):
    """mmengine's runner, made to resume exactly and never to lose work.

    ``tools/train.py`` uses it where a config names no other ``runner_type``.
    """

    def __init__(self, *args, **kwargs) -> None:
        install_safe_loading()
        super().__init__(*args, **kwargs)

    def train(self) -> nn.Module:
        """Train, and end the workers that load images."""
        try:
            return super().train()
        finally:
            shut_down_workers(self._train_loop, self._val_loop)

    def test(self) -> dict:
        """Test, and end the workers that load images."""
        try:
            return super().test()
        finally:
            shut_down_workers(self._test_loop)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the training loop, one that goes on exactly.

        Args:
            loop (BaseLoop | dict): See
                :meth:`mmengine.runner.Runner.build_train_loop`. The host's
                two loops become those of :mod:`.loops`.
        """
        if isinstance(loop, dict):
            loop = to_exact_loop(loop)
        return super().build_train_loop(loop)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the validation loop, whose workers outlive signals too.

        Args:
            loop (BaseLoop | dict): See
                :meth:`mmengine.runner.Runner.build_val_loop`.
        """
        loop = super().build_val_loop(loop)
        ignore_signals_in_workers(loop.dataloader)
        return loop

    def save_checkpoint(
        self, out_dir: str, filename: str, *args, **kwargs
    ) -> None:
        """Save a checkpoint whole or not at all.

        Rank 0 saves. All processes call it together, as the host's hooks do:
        what hinders rank 0 is then an error of all of them.

        Args:
            out_dir (str): The folder.
            filename (str): The name of the file.
            *args: See :meth:`mmengine.runner.Runner.save_checkpoint`.
            **kwargs: See there.

        Raises:
            SaveError: If it cannot be written; what was there before is
                untouched.
        """
        save = super().save_checkpoint

        def work() -> None:
            if '://' in str(out_dir):  # the hosts' storages replace as a whole
                save(out_dir, filename, *args, **kwargs)
                return
            with atomic_write(osp.join(out_dir, filename)) as partial:
                save(out_dir, osp.basename(partial), *args, **kwargs)

        on_main(work)

    def load_or_resume(self) -> None:
        """Load or resume; the newest whole checkpoint, if none is named.

        Raises:
            UsageError: If the work folder has checkpoints, but none is whole.
        """
        if self._resume and self._load_from is None and not self._has_loaded:
            self._load_from, notes = last_checkpoint(self.work_dir)
            for note in notes:
                self.logger.warning(note)
            self._resume = self._load_from is not None
        super().load_or_resume()

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """Register the default hooks, with a safe one for checkpoints.

        Args:
            hooks (dict, optional): See
                :meth:`mmengine.runner.Runner.register_default_hooks`.
                Defaults to None.
        """
        hooks = dict(hooks or {})
        hook = hooks.get('checkpoint', dict(type='CheckpointHook', interval=1))
        if isinstance(hook, dict) and hook.get('type') in (
            'CheckpointHook',
            CheckpointHook,
        ):
            hook = dict(hook, type='mmdavpt.DAVPTCheckpointHook')
        super().register_default_hooks(dict(hooks, checkpoint=hook))

    def register_hooks(
        self,
        default_hooks: dict | None = None,
        custom_hooks: list | None = None,
    ) -> None:
        """Register the hooks, and one that compares processes.

        Args:
            default_hooks (dict, optional): See
                :meth:`mmengine.runner.Runner.register_hooks`. Defaults to
                None.
            custom_hooks (list, optional): See there. Defaults to None.
        """
        super().register_hooks(default_hooks, custom_hooks)
        self.register_hook(dict(type='mmdavpt.AgreementHook'))


@RUNNERS.register_module()
class DAVPTTestRunner(DAVPTRunner):
    """The runner of ``tools/test.py``, which leaves the training's config."""

    @master_only
    def dump_config(self) -> None:
        """Write the config to the folder of this test.

        The host's place is that of the training's, by which its checkpoints
        are loaded later.
        """
        name = osp.basename(self.cfg.filename or 'config.py')
        self.cfg.dump(osp.join(self.log_dir, name))
