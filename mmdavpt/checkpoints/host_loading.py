"""Let the hosts' ways of loading read as safely as this package's.

mmengine's loader unpickles, with a warning, what it cannot read safely; it
serves ``Runner``, ``init_model`` of MMSegmentation and the inferencers.
"""

from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from .reading import read_run_checkpoint


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Read a file, in place of mmengine's function of this name.

    Args:
        filename (str): See :func:`.read_run_checkpoint`.
        map_location (Any): See ``torch.load``. Defaults to None.
    """
    return read_run_checkpoint(filename, map_location)


def load_from_http(filename: str, map_location: Any = None) -> dict:
    """Fetch a file, and read it, in place of mmengine's function.

    Args:
        filename (str): Its address.
        map_location (Any): See ``torch.load``. Defaults to None.
    """
    from mmdavpt.models.pretrained.sources import fetch

    return read_run_checkpoint(fetch(filename)[0], map_location)


def make_hosts_load_safely() -> None:
    """Register the loaders with mmengine, for all of this process."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(
        ('http://', 'https://'), load_from_http, force=True
    )
