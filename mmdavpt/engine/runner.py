"""The runner of the tools: mmengine's, with promises that the host lacks."""

from mmengine.runner import Runner

from mmdavpt.registry import RUNNERS


@RUNNERS.register_module()
class DAVPTRunner(Runner):
    """mmengine's runner, made to resume exactly and never to lose work.

    ``tools/train.py`` and ``tools/test.py`` use it where a config names no
    other ``runner_type``.
    """
