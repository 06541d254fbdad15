"""Fetch pre-trained weights from timm's registry, Hugging Face or a URL."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest.mock import patch
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import timm
import torch
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from torch import nn

from mmdavpt.checkpoints.fetching import fetch_failed, fetch_url
from mmdavpt.errors import UsageError, did_you_mean


def fetch_file(source: str) -> str:
    """Return the local copy of a file, downloaded on first use.

    Args:
        source (str): ``hf://OWNER/REPO/FILE`` or a URL.

    Raises:
        UsageError: If the address is malformed or the download fails.
    """
    scheme, _, place = source.partition('://')
    if scheme in ('http', 'https'):
        return fetch_url(source)
    if scheme != 'hf':
        raise UsageError(
            'the pre-trained checkpoint should be a file or begin with '
            f'timm://, hf://, http:// or https://, but got {source!r}'
        )
    match = re.fullmatch(r'([^/]+/[^/@]+)(?:@([^/]+))?/(.+)', place)
    if match is None:
        raise UsageError(
            'a checkpoint of Hugging Face should be hf://OWNER/REPO/FILE, '
            f'but got {source}'
        )
    repo, revision, file = match.groups()
    with hub_errors(source, 'download it'):
        path = hf_hub_download(repo, file, revision=revision)
        # timm's repositories describe the model in this file.
        with suppress(OSError, HfHubHTTPError):
            hf_hub_download(repo, 'config.json', revision=revision)
    return path


def check_timm_name(name: str) -> None:
    """Check that timm has a model.

    Args:
        name (str): Its name, with or without the tag of its weights.

    Raises:
        UsageError: If it does not; the message suggests a similar name.
    """
    if not timm.is_model(name):
        hint = did_you_mean(name.partition('.')[0], timm.list_models())
        raise UsageError(f'timm has no model {name!r}{hint}')


def build_on_meta(name: object, **kwargs) -> nn.Module | None:
    """Build a model of timm without memory; None if timm has no such model.

    Args:
        name (object): Name of the model.
        **kwargs: Its arguments.
    """
    if not isinstance(name, str) or not timm.is_model(name):
        return None
    with torch.device('meta'):
        return timm.create_model(name, pretrained=False, **kwargs)


def timm_model(name: str) -> nn.Module:
    """Return timm's model with its pre-trained weights.

    Args:
        name (str): Such as 'vit_base_patch16_224.augreg_in21k'.

    Raises:
        UsageError: If there is no such model, or the download fails.
    """
    check_timm_name(name)
    advice = f'save timm.create_model({name!r}, pretrained=True)'
    with hub_errors(f'timm://{name}', advice):
        return timm.create_model(name, pretrained=True)


@contextmanager
def hub_errors(source: str, advice: str) -> Iterator[None]:
    """Fetch from the Hugging Face Hub; if it is out of reach, from the cache.

    The Hub's client would repeat each request for half a minute.

    Args:
        source (str): The address, for the message.
        advice (str): See :func:`.fetch_failed`.

    Raises:
        UsageError: If the block fails: the file is unknown, or neither the
            Hub nor the cache has it.
    """
    offline = constants.HF_HUB_OFFLINE
    reason = None if offline else _unreachable(constants.ENDPOINT)
    use_cache = offline or bool(reason)
    try:
        with patch.object(constants, 'HF_HUB_OFFLINE', use_cache):
            yield
    # timm raises these for unknown tags, missing weights and network errors.
    except (OSError, RuntimeError, ValueError, HfHubHTTPError) as error:
        if reason and isinstance(error, OSError):  # not in the cache
            error = reason
        raise UsageError(fetch_failed(source, error, advice)) from error


def _unreachable(url: str) -> Exception | None:
    """Return why a server does not answer within ten seconds, if so."""
    try:
        urlopen(Request(url, method='HEAD'), timeout=10).close()
    except HTTPError:
        return None  # it answered
    except OSError as error:
        # Certificates are left to the client, which has its own.
        cause = getattr(error, 'reason', error)
        return None if isinstance(cause, ssl.SSLError) else error
    return None
