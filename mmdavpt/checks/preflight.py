"""The preflight: all checks of a config before a run loads anything."""

from mmengine.config import Config

from mmdavpt.engine.strategies import check_engine
from mmdavpt.errors import UsageError

from .build import DryRunner, quietly
from .conflicts import find_conflicts, uncounted_accumulation
from .fit import find_mismatches
from .silent import find_errors, find_warnings


def preflight(cfg: Config, training: bool) -> list[str]:
    """Build every part of a run dry, and look for silent mistakes.

    Args:
        cfg (Config): The merged config.
        training (bool): Whether the run is a training, not a test.

    Returns:
        list[str]: Warnings, one sentence each.

    Raises:
        UsageError: If the config cannot run, or would not do what it says.
    """
    check_engine(cfg)
    dry = DryRunner(cfg, training)
    with quietly(cfg):
        for find in (find_errors, find_conflicts, find_mismatches):
            for sentence in find(cfg, dry):
                raise UsageError(f'the config cannot be run: {sentence}')
        return [*find_warnings(cfg, dry), *uncounted_accumulation(cfg, dry)]
