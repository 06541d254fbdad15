"""Make mmengine's checkpoint loader safe and strict.

If mmengine's loader cannot read a file safely, it unpickles it with a warning,
and loads the weights that fit. ``Runner``, the inferencers and ``init_model``
of MMSegmentation all use it. Our readers execute nothing, and mark a state
with its file, so that a model of this package can demand all of its weights.
"""

from collections import OrderedDict

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
    for scheme in ('', 'http://', 'https://'):
        CheckpointLoader.register_scheme(scheme, load_checked_file, force=True)


def load_checked_file(filename: str, map_location: object = None) -> dict:
    """Read a file, and write its name into the metadata of its weights.

    Args:
        filename (str): Path or address, see :func:`.read_run_checkpoint`.
        map_location (object): See ``torch.load``. Defaults to None.
    """
    path = fetch_url(filename) if '://' in filename else filename
    content = read_run_checkpoint(path, map_location)
    if not isinstance(content.get('state_dict'), dict):
        return content
    state = OrderedDict(content['state_dict'])
    metadata = getattr(content['state_dict'], '_metadata', {})
    root = {**metadata.get('', {}), SOURCE: filename}
    state._metadata = OrderedDict(metadata) | {'': root}
    return {**content, 'state_dict': state}
