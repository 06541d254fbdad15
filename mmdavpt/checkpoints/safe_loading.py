"""Make mmengine's checkpoint loader safe and strict.

If mmengine's loader cannot read a file safely, it unpickles it with a warning,
and loads the weights that fit. ``Runner``, the inferencers and ``init_model``
of MMSegmentation all use it. Our readers execute nothing, and mark a state
with its file, so that a model of this package can demand all of its weights.
"""

from collections import OrderedDict
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from .fetching import fetch_url
from .reading import read_run_checkpoint

#: The metadata of a state name its file under this key.
SOURCE = 'mmdavpt_source'


def install_safe_loading() -> None:
    """Replace mmengine's loaders of files and URLs, for this whole process.

    ``DAVPTRunner`` and the command line call this; importing the package does
    not. Calling it again changes nothing.
    """
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(
        ('http://', 'https://'), load_from_http, force=True
    )


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Read a file, in place of mmengine's function of this name.

    Args:
        filename (str): See :func:`.read_run_checkpoint`.
        map_location (Any): See ``torch.load``. Defaults to None.
    """
    return _mark_source(read_run_checkpoint(filename, map_location), filename)


def load_from_http(filename: str, map_location: Any = None) -> dict:
    """Download a file and read it, in place of mmengine's function.

    Args:
        filename (str): Its address.
        map_location (Any): See ``torch.load``. Defaults to None.
    """
    content = read_run_checkpoint(fetch_url(filename), map_location)
    return _mark_source(content, filename)


def _mark_source(content: dict, source: str) -> dict:
    """Write the file's name into the metadata that loading passes on."""
    if not isinstance(content.get('state_dict'), dict):
        return content
    state = OrderedDict(content['state_dict'])
    metadata = getattr(content['state_dict'], '_metadata', {})
    root = {**metadata.get('', {}), SOURCE: source}
    state._metadata = OrderedDict(metadata) | {'': root}
    return {**content, 'state_dict': state}
