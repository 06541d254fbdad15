"""What a config describes, built without memory: what cannot be, says so."""

import copy
import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.model import initialize
from mmengine.registry import MODELS, DefaultScope, Registry
from mmpretrain.models import ClsHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn
from torch.nn.modules.module import (
    register_module_parameter_registration_hook,
)

from mmdavpt.errors import UsageError
from mmdavpt.randomness import isolated_randomness

#: What is raised where values are needed of tensors that have none.
VALUE_ERRORS = (NotImplementedError, RuntimeError, TypeError, ValueError)

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


def build_part(registry: Registry, path: str, node: dict) -> Any:
    """Build one part of a run.

    Args:
        registry (Registry): What knows its type.
        path (str): Its path in the config.
        node (dict): Its config.

    Raises:
        UsageError: If it cannot be built.
    """
    with building(path):
        # TestTimeAug replaces its own arguments.
        return registry.build(copy.deepcopy(node))


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


def built_model(cfg: dict) -> nn.Module | None:
    """Return the model of a config, without memory for its weights.

    Args:
        cfg (dict): The merged config, with plain values.

    Returns:
        nn.Module | None: The model on the meta device; None if it can be
        built only with the values of its weights.

    Raises:
        UsageError: If it cannot be built.
    """
    model = copy.deepcopy(cfg['model'])
    if cfg.get('data_preprocessor') is not None:
        model.setdefault(
            'data_preprocessor', copy.deepcopy(cfg['data_preprocessor'])
        )
    with (
        scope_of(cfg),
        isolated_randomness(0),
        _parameters_without_memory(),
        suppress(_NeedsValues),
        building('model'),
        _telling_values(),
    ):
        # The hosts read some keys as attributes.
        return MODELS.build(ConfigDict(model)).to('meta')
    return None


@contextmanager
def _parameters_without_memory() -> Iterator[None]:
    """Give up what parameters hold as soon as modules have them.

    Building on the meta device would be shorter, but many backbones read
    numbers from small tensors while they are built, as from
    ``torch.linspace`` for their drop rates, and those would have none.
    """

    def emptied(
        module: nn.Module, name: str, parameter: nn.Parameter
    ) -> nn.Parameter | None:
        if type(parameter) is not nn.Parameter:  # such as those of lazy layers
            return None
        return nn.Parameter(parameter.to('meta'), parameter.requires_grad)

    hook = register_module_parameter_registration_hook(emptied)
    try:
        yield
    finally:
        hook.remove()


@torch.no_grad()
def check_init(model: nn.Module) -> None:
    """Raise if weights cannot be initialized as a model's parts say.

    Args:
        model (nn.Module): A model on the meta device.

    Raises:
        UsageError: If so. Weights from files are left to others.
    """
    for name, module in model.named_modules():
        given = getattr(module, 'init_cfg', None) or []
        for init in [given] if isinstance(given, dict) else given:
            if init.get('type') != 'Pretrained':
                with (
                    suppress(_NeedsValues),
                    building(f'model.{name}.init_cfg', 'used'),
                    _telling_values(),
                ):
                    initialize(module, init)


@torch.no_grad()
def check_forward(model: nn.Module, channels: int = 3) -> None:
    """Raise if an image cannot go through a model.

    What needs the values of tensors is left to the run.

    Args:
        model (nn.Module): A classifier or segmentor on the meta device.
        channels (int): Channels of an image. Defaults to 3.

    Raises:
        UsageError: If so.
    """
    size = getattr(getattr(model, 'backbone', None), 'img_size', None)
    if not isinstance(size, (list, tuple)):
        return
    model.eval()
    image = torch.empty(1, channels, *size, device='meta')
    with suppress(_NeedsValues):
        with building('model', 'run on an image'), _telling_values():
            features = model.extract_feat(image)
        for path, head in heads_of(model).items():
            if isinstance(head, (ClsHead, BaseDecodeHead)):
                with (
                    building(f'model.{path}', 'run on the features'),
                    _telling_values(),
                ):
                    head(features)


class _NeedsValues(Exception):
    """Something needs values of tensors that have none."""


@contextmanager
def _telling_values() -> Iterator[None]:
    try:
        yield
    except VALUE_ERRORS as error:
        if re.search(r'\bmeta\b', str(error), re.IGNORECASE):
            raise _NeedsValues from error
        raise


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
