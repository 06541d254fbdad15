"""The runner of the tools: mmengine's, with promises that the host lacks."""

from mmengine.runner import Runner

from mmdavpt.registry import RUNNERS


@RUNNERS.register_module()
class DAVPTRunner(Runner):
    """mmengine's runner, made to resume exactly and never to lose work.

    ``tools/train.py`` and ``tools/test.py`` use it where a config names no
    other ``runner_type``.
    """

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
