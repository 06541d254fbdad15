"""Whether the environment of a run can be set up as its config says."""

import multiprocessing
from collections.abc import Iterator
from typing import Any

from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing

from .known_keys import PLAIN_DICTS
from .value_kinds import kind_defects, short


def environment_defects(cfg: dict) -> Iterator[str]:
    """Yield what is wrong with seeds, processes and scaling.

    Args:
        cfg (dict): The merged config, with plain values.
    """
    environment = cfg.get('env_cfg') or {}
    for path, node in (
        ('randomness', cfg.get('randomness')),
        ('auto_scale_lr', cfg.get('auto_scale_lr')),
        ('env_cfg', environment),
        ('env_cfg.mp_cfg', environment.get('mp_cfg', {})),
        ('env_cfg.dist_cfg', environment.get('dist_cfg', {})),
    ):
        if node is None and '.' not in path:
            continue
        if not isinstance(node, dict):
            yield f'`{path}` should be a dict, but is {short(node)}'
            return
        # A `type` is no key of these, as it is of what is built.
        if 'type' in node and path != 'env_cfg.dist_cfg':
            taken = PLAIN_DICTS[path.rpartition('.')[2]]
            yield f'`{path}` has no key `type`; it takes ' + ', '.join(
                f'`{key}`' for key in sorted(taken)
            )
    yield from _seed(cfg.get('randomness'))
    yield from _processes(environment)
    yield from _scaling(cfg.get('auto_scale_lr') or {})


def _seed(randomness: dict | None) -> Iterator[str]:
    """Yield what is wrong with the seed of a run."""
    if randomness is None:
        return
    if 'seed' not in randomness:
        yield f'`randomness` should have a `seed`, but is {randomness!r}'
        return
    seed = randomness['seed']
    if seed is not None and not (
        isinstance(seed, int) and 0 <= seed < 2**32 - 1
    ):
        yield (
            '`randomness.seed` should be None or a whole number of at least '
            f'0, but is {seed!r}'
        )
    yield from kind_defects('randomness', randomness, Runner.set_randomness)


def _processes(environment: dict) -> Iterator[str]:
    """Yield what is wrong with the limits of processes."""
    given: dict[str, Any] = environment.get('mp_cfg', {})
    yield from kind_defects('env_cfg.mp_cfg', given, set_multi_processing)
    methods = multiprocessing.get_all_start_methods()
    if given.get('mp_start_method', methods[0]) not in methods:
        yield (
            '`env_cfg.mp_cfg.mp_start_method` should be out of '
            f'{", ".join(methods)}, but is {given["mp_start_method"]!r}'
        )
    limit = environment.get('resource_limit', 4096)
    if isinstance(limit, bool) or not isinstance(limit, int):
        yield (
            '`env_cfg.resource_limit` should be a number of open files, but '
            f'is {short(limit)}'
        )


def _scaling(scaling: dict) -> Iterator[str]:
    """Yield what is wrong with learning rates for other batch sizes."""
    base = scaling.get('base_batch_size')
    if scaling.get('enable') and not (
        isinstance(base, (int, float)) and base > 0
    ):
        yield (
            '`auto_scale_lr.base_batch_size` should be the batch size that '
            f'the learning rate is for, but is {short(base)}'
        )
