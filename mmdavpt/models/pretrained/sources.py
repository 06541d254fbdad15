"""Get checkpoints from where they are published."""

from torch import Tensor

from mmdavpt.checkpoints.fetching import fetch_failed, fetch_url
from mmdavpt.errors import UsageError

#: Mean and std of the three channels, from 0 to 255.
Declared = tuple[tuple[float, ...], tuple[float, ...]]
SCHEMES = ('timm', 'hf', 'http', 'https')


def is_remote(source: str) -> bool:
    """Return whether a checkpoint has to be fetched."""
    return '://' in source


def fetch(
    source: str,
) -> tuple[str, dict[str, Tensor] | None, Declared | None]:
    """Fetch a checkpoint, or take it from the cache of an earlier time.

    Args:
        source (str): ``timm://NAME``, ``hf://OWNER/REPO/FILE`` or a URL.

    Returns:
        Tuple: The path of the file, the weights if there is no file, and
        what the publisher declares about normalisation; each may be empty.

    Raises:
        UsageError: If it cannot be had.
    """
    scheme, _, place = source.partition('://')
    if scheme == 'timm':
        return '', *_from_timm(place)
    if scheme == 'hf':
        return _from_hugging_face(place), None, None
    if scheme in ('http', 'https'):
        return fetch_url(source), None, None
    raise UsageError(
        'the pre-trained checkpoint should be a file or begin with '
        f'{", ".join(f"{known}://" for known in SCHEMES)}, but got {source!r}'
    )


def _from_timm(name: str) -> tuple[dict[str, Tensor], Declared]:
    try:
        import timm
    except ImportError as error:
        raise UsageError(
            f'timm://{name} needs timm, which is not installed: '
            '`pip install timm`'
        ) from error
    if not timm.is_model(name.partition('.')[0]):
        near = timm.list_models(f'*{name.partition(".")[0][:12]}*')[:3]
        raise UsageError(
            f'timm has no model {name!r}'
            + (f'; did you mean one of {near}?' if near else '')
        )
    try:
        model = timm.create_model(name, pretrained=True)
    # What timm raises for unknown tags, absent weights and a lost network.
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(
            fetch_failed(
                f'timm://{name}',
                error,
                f'save timm.create_model({name!r}, pretrained=True)',
            )
        ) from error
    if getattr(model, 'rope', None) is not None:
        raise UsageError(
            f'timm://{name} has rotary position embeddings, which the '
            'backbone here has not; choose a model without'
        )
    config = model.pretrained_cfg
    declared = tuple(
        tuple(255 * value for value in config[key]) for key in ('mean', 'std')
    )
    return model.state_dict(), declared


def _from_hugging_face(place: str) -> str:
    parts = place.split('/')
    if len(parts) < 3 or not all(parts):
        raise UsageError(
            'a checkpoint of Hugging Face should be hf://OWNER/REPO/FILE, '
            f'but got hf://{place}'
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise UsageError(
            f'hf://{place} needs huggingface_hub, which is not installed: '
            '`pip install huggingface_hub`'
        ) from error
    repo, _, revision = '/'.join(parts[:2]).partition('@')
    source = f'hf://{place}'
    try:
        path = hf_hub_download(
            repo, '/'.join(parts[2:]), revision=revision or None
        )
    except (OSError, HfHubHTTPError, ValueError) as error:
        raise UsageError(fetch_failed(source, error, 'download it')) from error
    try:  # timm's files declare mean and std beside the weights
        hf_hub_download(repo, 'config.json', revision=revision or None)
    except (OSError, HfHubHTTPError):
        return path  # the repository declares nothing
    return path
