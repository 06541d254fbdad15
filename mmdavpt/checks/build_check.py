"""What a config describes, built without memory: what cannot be, says so."""

import copy
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmdavpt.errors import UsageError

#: What constructors raise for arguments that they cannot take.
BUILD_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


@contextmanager
def scope_of(cfg: dict) -> Iterator[None]:
    """Build in the default scope of a config, without warnings.

    Args:
        cfg (dict): The config.
    """
    with (
        DefaultScope.overwrite_default_scope(
            cfg.get('default_scope', 'mmengine')
        ),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter('ignore')
        yield


@contextmanager
def building(path: str, what: str = 'built') -> Iterator[None]:
    """Turn what a constructor raises into a sentence.

    Args:
        path (str): Path in the config of what is built.
        what (str): What is done with it. Defaults to 'built'.
    """
    try:
        yield
    except BUILD_ERRORS as error:
        raise UsageError(
            f'the config cannot be run: `{path}` cannot be {what}: '
            + reason_of(error)
        ) from error


def reason_of(error: Exception) -> str:
    """Return what an error says, or the assertion that it stands for.

    Args:
        error (Exception): What was raised.
    """
    kind = type(error).__name__
    says = ' '.join(str(error).split())
    if says:
        return says if isinstance(error, ValueError) else f'{says} ({kind})'
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f'`{place.line}` in {place.name} fails ({kind})'


def built_model(cfg: dict) -> nn.Module:
    """Return the model of a config, without memory for its weights.

    Args:
        cfg (dict): The merged config, with plain values.

    Raises:
        UsageError: If it cannot be built.
    """
    model = copy.deepcopy(cfg['model'])
    if cfg.get('data_preprocessor') is not None:
        model.setdefault(
            'data_preprocessor', copy.deepcopy(cfg['data_preprocessor'])
        )
    with scope_of(cfg), torch.device('meta'), building('model'):
        # The hosts read some keys as attributes.
        return MODELS.build(ConfigDict(model))


@torch.no_grad()
def check_forward(model: nn.Module) -> None:
    """Raise if an image cannot go through a model.

    Args:
        model (nn.Module): A classifier or segmentor on the meta device.

    Raises:
        UsageError: If so.
    """
    size = getattr(getattr(model, 'backbone', None), 'img_size', None)
    if size is None:
        return
    model.eval()
    image = torch.empty(1, 3, *size, device='meta')
    with building('model', 'run on an image'):
        features = model.extract_feat(image)
    for path, head in heads_of(model).items():
        with building(f'model.{path}', 'run on the features'):
            head(features)


def heads_of(model: nn.Module) -> dict[str, nn.Module]:
    """Return the heads of a model by their paths in its config.

    Args:
        model (nn.Module): A classifier or a segmentor.
    """
    found = {}
    for name in ('head', 'decode_head', 'auxiliary_head'):
        head = getattr(model, name, None)
        if isinstance(head, nn.ModuleList):
            found.update({f'{name}.{i}': part for i, part in enumerate(head)})
        elif head is not None:
            found[name] = head
    return found
