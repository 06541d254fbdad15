"""Reject engines that shard or rewrap the weights: only DDP is supported."""

import re
from collections.abc import Mapping

from mmengine.config import Config

from mmdavpt.errors import UsageError

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
