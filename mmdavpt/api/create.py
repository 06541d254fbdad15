"""Create a model from the name of its weights and of a method."""

import warnings
from pathlib import Path
from unittest.mock import patch

import timm
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdavpt.config_source import RECOMMENDED, load_with_variables
from mmdavpt.errors import UsageError, did_you_mean
from mmdavpt.models import DAVPTTimmViT
from mmdavpt.models.pretrained import (
    ASSUMED,
    BackboneSettings,
    read_checkpoint,
    read_settings,
    timm_settings,
)
from mmdavpt.models.tuners import check_method

from .tuned_model import TunedModel, describe_model


def create_model(
    name: str,
    method: str = 'davpt',
    num_classes: int = 2,
    task: str = 'classification',
    pretrained: bool | str = True,
    **settings: object,
) -> TunedModel:
    """Create the model of a recommended config (docs/api.md).

    Args:
        name (str): A Vision Transformer of timm, or a file or address.
        method (str): Such as 'vpt', or a tuner. Defaults to 'davpt'.
        num_classes (int): Unless ``classes`` names them. Defaults to 2.
        task (str): Or 'segmentation'. Defaults to 'classification'.
        pretrained (bool | str): Whether to load the weights of ``name``; or
            another source for the model of timm. Defaults to True.
        **settings: Other variables of the config, such as ``classes``, or
            ``frozen_dtype='bfloat16'``, which halves the memory of the
            frozen weights.

    Returns:
        TunedModel: In training mode.

    Raises:
        UsageError: If an argument is unknown, or the weights do not fit.
    """
    path = RECOMMENDED / f'{task}.py'
    if not path.is_file():
        raise UsageError('task should be classification or segmentation')
    cfg = Config.fromfile(path)
    check_method(method, cfg.methods)
    found, weights = _find_weights(name, pretrained, settings)
    size = max(1, round(cfg.size / found.patch_size)) * found.patch_size
    variables = dict(found.variables(cfg.archs), weights=weights, size=size)
    classes = [str(number) for number in range(num_classes)]
    variables |= dict(method=method, classes=classes)
    try:
        cfg = load_with_variables(path, variables | settings)
        if not pretrained:
            cfg.model.backbone.init_cfg = None
        model = TunedModel(describe_model(cfg, dict(classes=cfg.classes)))
    except (AssertionError, ValueError) as error:  # a wrong option
        raise UsageError(str(error)) from error
    # mmengine would print three lines for each parameter.
    silent = patch.object(model.model, '_dump_init_info', lambda *args: None)
    with DefaultScope.overwrite_default_scope(cfg.default_scope), silent:
        model.model.init_weights()
    return model.train()  # frozen modules change to eval mode


def _find_weights(
    name: str, pretrained: bool | str, settings: dict
) -> tuple[BackboneSettings, str]:
    """Return the backbone's settings, and where its weights are."""
    own = name.removeprefix('timm://')
    stated = settings.keys() >= {'mean', 'std'}
    if timm.is_model(own.partition('.')[0]):
        with torch.device('meta'):  # without memory
            found = timm_settings(DAVPTTimmViT(own, num_prompts=0).vit, own)
        if not pretrained or pretrained is True:
            return found, f'timm://{own}' if pretrained else name
        declared = read_checkpoint(pretrained).normalization
        if declared is None and not stated:
            text = ASSUMED.format(pretrained, f'timm for {own}')
            warnings.warn(text, stacklevel=3)
        found = found._replace(normalization=declared or found.normalization)
        return found, pretrained
    if '://' not in name and not Path(name).expanduser().is_file():
        hint = did_you_mean(name, timm.list_models())
        raise UsageError(f'{name} is neither a model of timm nor a file{hint}')
    found = read_settings(name, settings.pop('arch', None))
    if found.normalization is None and not stated:
        warnings.warn(ASSUMED.format(name, 'ImageNet'), stacklevel=3)
    return found, name
