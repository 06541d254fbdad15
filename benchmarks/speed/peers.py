"""Ways to tune one ViT: this package's methods, and those of other libraries.

Each builds a model with the calls of MMPretrain's classifiers, so that all
run the same training step. Other libraries are optional.
"""

import copy
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from types import SimpleNamespace
from unittest.mock import patch

import timm
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope
from timm.models import vision_transformer
from torch import Tensor, nn

from mmdavpt.config_source import RECOMMENDED, load_with_variables
from mmdavpt.errors import UsageError
from mmdavpt.models.export import fold_model
from mmdavpt.models.pretrained import (
    BackboneSettings,
    read_checkpoint,
    read_settings,
)
from mmdavpt.registry import MODELS, TUNERS

from .cases import Case, map_classes
from .forms import ConcatenatedViT

CONFIG = RECOMMENDED / 'classification.py'
#: Rank and bottleneck of the peers that have one.
RANK = 8
#: Adapter+ as its authors' README configures it.
ADAPTER_PLUS = dict(
    config='post',
    act_layer=True,
    norm_layer=False,
    bias=True,
    init='houlsby',
    scaling='channel',
    dim=RANK,
    attn_adapter=False,
    dropout=0,
    drop_path=0.1,
)
#: LoRA and VPT as the authors of Adapter+ configure them, with our sizes.
ADAPTER_PLUS_LORA = dict(
    config='attention',
    location=('q', 'k'),
    dim=RANK,
    bias=False,
    scaling=1.0,
    norm_layer=False,
    act_layer=False,
    init='lora',
    dropout=0.1,
    pre_dropout=True,
    drop_path=0,
)
ADAPTER_PLUS_VPT = dict(config='single', dropout=0.1)
#: Parameters that pre-trained weights of timm lack.
ADDED = r'^head\.|\.adapters?\b|\.prompt$'


@dataclass(frozen=True)
class Setting(Case):
    """A case whose sizes may come from a file of weights.

    Attributes:
        weights (str | None): A file of a ViT with timm's names. Defaults to
            None, random weights of ``model``.
    """

    weights: str | None = None

    @property
    def backbone(self) -> BackboneSettings:
        """BackboneSettings: Sizes and options of the ViT."""
        if self.weights:
            return _read_settings(self.weights)
        return BackboneSettings(super().arch, self.patch, {}, None)

    @property
    def arch(self) -> dict:
        """dict: The sizes of the ViT, as in MMPretrain."""
        return self.backbone.arch


_read_settings = cache(read_settings)


@dataclass(frozen=True)
class Method:
    """A way to tune a ViT.

    Attributes:
        name (str): The row of a table.
        build (Callable): From a :class:`Setting` to a model.
        package (str): The library that it needs.
        like (str): The method of this package whose learning rate it trains
            with.
        note (str): A description. Defaults to none.
        fold (Callable | None): From a model to one that computes the same
            with fewer operations; None if there is none. Defaults to None.
    """

    name: str
    build: Callable[[Setting], nn.Module]
    package: str
    like: str
    note: str = ''
    fold: Callable[[nn.Module], nn.Module] | None = None

    def check(self) -> None:
        """Check that the library can be used.

        Raises:
            UsageError: If it is not installed.
        """
        try:
            with timm_kept():
                importlib.import_module(self.package)
        except ImportError as error:
            raise UsageError(f'{self.package}: {error}') from error


class TimmClassifier(nn.Module):
    """A classifier of timm, called as those of MMPretrain.

    Args:
        vit (nn.Module): Images (B, 3, H, W) to logits (B, K).
    """

    guidance = None

    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.vit = vit

    def forward(
        self, inputs: Tensor, data_samples: list | None = None, mode: str = ''
    ) -> Tensor | dict[str, Tensor]:
        """Return the loss if ``mode`` is 'loss', else the logits.

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
            data_samples (list, optional): Samples with ``gt_label``.
                Defaults to None.
            mode (str): See above. Defaults to ''.
        """
        logits = self.logits(inputs)
        if mode != 'loss':
            return logits
        labels = torch.cat([sample.gt_label for sample in data_samples])
        return dict(loss=F.cross_entropy(logits, labels))

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the logits, (B, K).

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
        """
        return self.vit(inputs)

    def parse_losses(self, losses: dict) -> tuple[Tensor, dict]:
        """Return the loss, and what a log would show."""
        return losses['loss'], losses


class AdapterPlusClassifier(TimmClassifier):
    """A classifier of adapter_plus.

    Newer versions of timm pass a mask to ``forward_features``, which that of
    adapter_plus 0.1.0 does not take.
    """

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the logits, (B, K).

        Args:
            inputs (Tensor): Images with shape (B, 3, H, W).
        """
        return self.vit.forward_head(self.vit.forward_features(inputs))


def config_of(
    setting: Setting, method: str = 'linear', **variables: object
) -> Config:
    """Return the recommended config of a method for a setting.

    Args:
        setting (Setting): The setting.
        method (str): Name of the method. Defaults to 'linear'.
        **variables: Other variables of the config.
    """
    given = setting.backbone.variables({})
    given |= dict(
        method=method,
        weights=setting.weights or 'none',
        size=setting.size,
        num_prompts=setting.prompts,
        batch_size=setting.batch,
        num_workers=0,
        classes=[*map(str, range(setting.classes))],
    )
    cfg = load_with_variables(CONFIG, given | variables)
    if not setting.weights:
        cfg.model.backbone.init_cfg = None
    return cfg


def build_ours(
    setting: Setting, method: str, backbone: type | None = None
) -> nn.Module:
    """Build the classifier of a method of this package.

    Args:
        setting (Setting): The setting.
        method (str): Its name in the recommended config, or a tuner.
        backbone (type, optional): Another backbone. Defaults to None.
    """
    cfg = config_of(setting, method).model
    if backbone is not None:
        cfg.backbone.type = backbone
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg)
    if setting.weights:
        with patch.object(model, '_dump_init_info', lambda *args: None):
            model.init_weights()
    map_classes(model, setting)
    return model


def fold_ours(model: nn.Module) -> nn.Module:
    """Fold the tuners of a model; return it as it is if one cannot fold."""
    if not model.backbone.all_tuners():
        return model
    try:
        return fold_model(model)
    except UsageError:
        return model


def timm_vit(setting: Setting, **options: object) -> nn.Module:
    """Return timm's ViT, frozen but for its head.

    Args:
        setting (Setting): The setting.
        **options: Other arguments of ``timm.create_model``.
    """
    arch, found = setting.arch, setting.backbone.options
    vit = timm.create_model(
        'vit_base_patch16_224',
        num_classes=setting.classes,
        img_size=setting.size,
        patch_size=setting.backbone.patch_size,
        embed_dim=arch['embed_dims'],
        depth=arch['num_layers'],
        num_heads=arch['num_heads'],
        mlp_ratio=arch['feedforward_channels'] / arch['embed_dims'],
        init_values=found.get('layer_scale_init_value'),
        weight_init='skip',
        **options,
    )
    nn.init.normal_(vit.head.weight, std=0.01)  # as MMPretrain's head
    nn.init.zeros_(vit.head.bias)
    if setting.weights:
        weights = read_checkpoint(setting.weights).weights
        weights = vision_transformer.checkpoint_filter_fn(weights, vit)
        missing, unexpected = vit.load_state_dict(weights, strict=False)
        if unexpected or not all(re.search(ADDED, name) for name in missing):
            raise UsageError(
                f'{setting.weights} should be a ViT with the names of timm'
            )
    vit.requires_grad_(False)
    vit.head.requires_grad_(True)
    return vit


def build_timm(setting: Setting, trained: str) -> nn.Module:
    """Build timm's ViT, with some of its own parameters trained.

    Args:
        setting (Setting): The setting.
        trained (str): Regular expression of their names.
    """
    vit = timm_vit(setting)
    for name, parameter in vit.named_parameters():
        if re.fullmatch(trained, name):
            parameter.requires_grad_(True)
    return TimmClassifier(vit)


def build_peft(setting: Setting, kind: str, **options: object) -> nn.Module:
    """Build timm's ViT with a method of Hugging Face's peft.

    Args:
        setting (Setting): The setting.
        kind (str): The name of its config, such as 'LoraConfig'.
        **options: Arguments of the config.
    """
    import peft

    config = getattr(peft, kind)(modules_to_save=['head'], **options)
    vit = timm_vit(setting)
    vit.requires_grad_(True)  # as users pass it; peft freezes it
    return TimmClassifier(peft.get_peft_model(vit, config))


def fold_peft(model: TimmClassifier) -> TimmClassifier:
    """Return a copy whose layers of peft are merged into the weights."""
    return TimmClassifier(copy.deepcopy(model.vit).merge_and_unload())


def build_adapter_plus(
    setting: Setting, key: str, config: Mapping, **options: object
) -> nn.Module:
    """Build timm's ViT with a method of adapter_plus.

    Args:
        setting (Setting): The setting.
        key (str): Which argument of ``timm.create_model`` has the config.
        config (Mapping): The config.
        **options: Other arguments of ``timm.create_model``.
    """
    given = {key: SimpleNamespace(**config)}
    if key == 'prompt_config':
        given[key].num_tokens = setting.prompts
    with timm_kept():
        import adapter_plus

        adapter_plus.patch_timm()
        block = without_new_arguments(adapter_plus.AdapterBlock)
        with patch.object(adapter_plus.vit_adapter, 'AdapterBlock', block):
            vit = timm_vit(setting, adapter=True, **given, **options)
    for module in vit.modules():
        if isinstance(module, adapter_plus.Adapter):
            module.requires_grad_(True)
        elif isinstance(module, adapter_plus.AdapterBlock) and (
            key == 'prompt_config'
        ):
            module.prompt.requires_grad_(True)
    return AdapterPlusClassifier(vit)


def timm_kept() -> AbstractContextManager:
    """Return a context after which timm creates its own models again.

    The import of adapter_plus replaces the function that does.
    """
    name = '_create_vision_transformer'
    original = getattr(vision_transformer, name)
    return patch.object(vision_transformer, name, original)


def without_new_arguments(kind: type) -> Callable[..., nn.Module]:
    """Return a block of adapter_plus that newer versions of timm can build.

    Args:
        kind (type): A subclass of timm's block, older than some of its
            arguments. These may only have their defaults, but for the number
            of the block, which only other kinds of attention use.
    """
    defaults = inspect.signature(vision_transformer.Block).parameters
    known = inspect.signature(kind).parameters

    def build(depth: int = 0, **given: object) -> nn.Module:
        new = {k: given.pop(k) for k in given.keys() - known.keys()}
        changed = [k for k, v in new.items() if v != defaults[k].default]
        if changed:
            raise UsageError(f'adapter_plus does not know {changed}')
        return kind(**given)

    return build


def peer_methods() -> list[Method]:
    """Return the ways to tune a ViT without this package."""
    peft = [
        ('LoRA', 'LoraConfig', dict(r=RANK, target_modules=['qkv'])),
        (
            'DoRA',
            'LoraConfig',
            dict(r=RANK, target_modules=['qkv'], use_dora=True),
        ),
        (
            'IA3',
            'IA3Config',
            dict(target_modules=['qkv', 'fc2'], feedforward_modules=['fc2']),
        ),
        ('OFT', 'OFTConfig', dict(target_modules=['qkv'])),
        (
            'LN tuning',
            'LNTuningConfig',
            dict(target_modules=r'.*\.norm[12]|norm'),
        ),
    ]
    added = [
        (
            'Adapter+',
            'Adapter',
            dict(key='adapter_config', drop_path_rate=0.1),
            ADAPTER_PLUS,
        ),
        ('LoRA', 'lora', dict(key='lora_config'), ADAPTER_PLUS_LORA),
        ('VPT', 'vpt', dict(key='prompt_config'), ADAPTER_PLUS_VPT),
    ]
    timm_rows = dict(linear='head.*', bias='.*bias', full='.*')
    return [
        *(
            Method(
                f'timm, {name}',
                partial(build_timm, trained=names),
                'timm',
                name,
            )
            for name, names in timm_rows.items()
        ),
        *(
            Method(
                f'peft, {name}',
                partial(build_peft, kind=kind, **options),
                'peft',
                'lora',
                f'on {options["target_modules"]}',
                fold_peft,
            )
            for name, kind, options in peft
        ),
        *(
            Method(
                f'adapter_plus, {name}',
                partial(build_adapter_plus, config=config, **options),
                'adapter_plus',
                like,
            )
            for name, like, options, config in added
        ),
        Method(
            'VPT as published',
            partial(build_ours, method='vpt', backbone=ConcatenatedViT),
            'mmpretrain',
            'vpt',
            "our form of KMnP/vpt's forward pass, with MMPretrain's layers",
        ),
    ]


def our_methods() -> tuple[list[Method], dict[str, str]]:
    """Return the methods of this package, with their default settings.

    Returns:
        tuple[list[Method], dict[str, str]]: Those of the recommended config
        and every tuner that it does not use alone; and the tuners that need
        arguments, with the reason.
    """
    methods, left_out = Config.fromfile(CONFIG).methods, {}
    names = [*methods]
    TUNERS.import_from_location()
    for name, kind in TUNERS.module_dict.items():
        if not kind.__module__.startswith('mmdavpt.'):
            continue
        alone = dict(num_prompts=0, tuners=[dict(type=name)])
        _, *options = inspect.signature(kind).parameters.values()
        variable = (
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        )
        needed = [
            p.name
            for p in options
            if p.default is p.empty and p.kind not in variable
        ]
        if needed:
            left_out[name] = f'it needs {" and ".join(needed)}'
        elif name not in names and alone not in methods.values():
            names.append(name)
    found = [
        Method(
            name,
            partial(build_ours, method=name),
            'mmdavpt',
            name,
            fold=fold_ours,
        )
        for name in names
    ]
    return found, left_out


def shared_name(name: str) -> str:
    """Return the name by which models of timm share a parameter."""
    return re.sub(r'base_model\.model\.|base_layer\.', '', name)


def trained_parameters(model: nn.Module) -> int:
    """Return how many numbers a model trains, with its head."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
