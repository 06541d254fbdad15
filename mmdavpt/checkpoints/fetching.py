"""Download checkpoints once, into the cache of torch.hub."""

import hashlib
import os
import os.path as osp
from urllib.parse import urlparse

import torch

from mmdavpt.errors import UsageError


def fetch_failed(source: str, error: Exception, instead: str) -> str:
    """Return the message for a checkpoint that cannot be downloaded.

    Args:
        source (str): Its address.
        error (Exception): The error of the download.
        instead (str): Advice for a machine with a network, as a verb phrase
            such as 'download it'.
    """
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f'{source} cannot be fetched ({first[:200]}); without a network, '
        f'{instead} elsewhere, copy the file here, and set '
        'init_cfg.checkpoint, or --weights of a folder, to its path'
    )


def fetch_url(url: str) -> str:
    """Return the local copy of a URL, downloaded on first use.

    Args:
        url (str): An http or https address.

    Raises:
        UsageError: If the download fails.
    """
    # Many publishers use one file name, such as model.safetensors.
    key = hashlib.sha256(url.encode()).hexdigest()[:16]
    folder = osp.join(torch.hub.get_dir(), 'checkpoints', key)
    path = osp.join(folder, osp.basename(urlparse(url).path))
    if not osp.isfile(path):
        os.makedirs(folder, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, path, progress=False)
        except (OSError, RuntimeError, ValueError) as error:
            why = fetch_failed(url, error, 'download it')
            raise UsageError(why) from error
    return path
