"""Whether the keys of a data loader go together."""

from collections.abc import Iterator
from typing import Any

#: Samplers that never end.
ENDLESS = ('InfiniteSampler', 'DistributedGroupInBatchSampler')

#: What is for workers only, and its value without any.
FOR_WORKERS = {
    'persistent_workers': False,
    'prefetch_factor': None,
    'timeout': 0,
}


def loader_defects(path: str, loader: dict) -> Iterator[str]:
    """Yield what is contradictory in a data loader, one sentence each.

    Args:
        path (str): Its path in the config.
        loader (dict): Its config.
    """
    if 'dataset' not in loader or 'sampler' not in loader:
        missing = 'dataset' if 'dataset' not in loader else 'sampler'
        if missing == 'dataset' or 'batch_sampler' not in loader:
            yield f'`{path}` should have a `{missing}`'
    workers = loader.get('num_workers', 0)
    if workers < 0:
        yield f'`{path}.num_workers` should be 0 or more, but is {workers}'
    batch_size = loader.get('batch_size')
    if 'batch_sampler' not in loader and not (
        isinstance(batch_size, int)
        and not isinstance(batch_size, bool)
        and batch_size >= 1
    ):
        yield (
            f'`{path}.batch_size` should be at least 1, but '
            + ('is missing' if batch_size is None else f'is {batch_size}')
        )
    if not isinstance(loader.get('drop_last', False), bool):
        yield (
            f'`{path}.drop_last` should be True or False, but is '
            f'{loader["drop_last"]!r}'
        )
    if not path.startswith('train') and kind_name(loader.get('sampler')) in (
        ENDLESS
    ):
        yield (
            f'`{path}.sampler` is {kind_name(loader["sampler"])}, which never '
            'ends; use DefaultSampler with shuffle=False'
        )


def worker_defects(loaders: dict[str, dict]) -> Iterator[str]:
    """Yield what is set for workers of loaders that have none.

    Args:
        loaders (dict[str, dict]): The configs of data loaders by their paths.
    """
    found = [
        (f'{path}.{key}', loader[key], off)
        for path, loader in loaders.items()
        if loader.get('num_workers', 0) == 0
        for key, off in FOR_WORKERS.items()
        if loader.get(key)
    ]
    if found:
        path, value, _ = found[0]
        yield (
            f'`{path}` is {value}, but `num_workers` is 0; have workers, or '
            'set --cfg-options '
            + ' '.join(f'{place}={off}' for place, _, off in found)
        )


def kind_name(node: Any) -> str:
    """Return the name of a config's type, without its scope.

    Args:
        node (dict | Any): A part of a config; '' for what is none.
    """
    kind = node.get('type', '') if isinstance(node, dict) else ''
    return str(kind).rpartition('.')[2]
