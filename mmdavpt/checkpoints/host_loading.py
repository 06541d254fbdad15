"""Let the hosts' ways of loading be as safe and strict as this package's.

mmengine's loader unpickles, with a warning, what it cannot read safely, and
loads what fits; it serves ``Runner``, ``init_model`` of MMSegmentation and
the inferencers. What is read here carries the name of its file, by which a
model knows that all of its weights should be in it.
"""

from collections import OrderedDict
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from .reading import read_run_checkpoint

#: Under this key the metadata of a state name its file.
SOURCE = 'mmdavpt_source'


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Read a file, in place of mmengine's function of this name.

    Args:
        filename (str): See :func:`.read_run_checkpoint`.
        map_location (Any): See ``torch.load``. Defaults to None.
    """
    return _named(read_run_checkpoint(filename, map_location), filename)


def load_from_http(filename: str, map_location: Any = None) -> dict:
    """Fetch a file, and read it, in place of mmengine's function.

    Args:
        filename (str): Its address.
        map_location (Any): See ``torch.load``. Defaults to None.
    """
    from .fetching import fetch_url

    content = read_run_checkpoint(fetch_url(filename), map_location)
    return _named(content, filename)


def _named(content: dict, source: str) -> dict:
    """Write where a checkpoint is from where loading carries it along."""
    if not isinstance(content.get('state_dict'), dict):
        return content
    state = OrderedDict(content['state_dict'])
    metadata = getattr(content['state_dict'], '_metadata', {})
    root = {**metadata.get('', {}), SOURCE: source}
    state._metadata = OrderedDict(metadata) | {'': root}
    return {**content, 'state_dict': state}


def make_hosts_load_safely() -> None:
    """Register the loaders with mmengine, for all of this process."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(
        ('http://', 'https://'), load_from_http, force=True
    )
