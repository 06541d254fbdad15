"""A stand-in for the package peft, with what its layers do to a model.

A layer wraps a module as ``base_layer``, trains a low-rank product with a
magnitude that follows the loaded weights, and keeps random indices in a dict,
a cache in a buffer that is not saved, and a parameter that does not train.
"""

import enum
import sys
import types
from dataclasses import dataclass

import torch
from torch import nn


class PeftType(str, enum.Enum):
    """Methods that stand for the kinds there are."""

    LORA = 'LORA'
    ADALORA = 'ADALORA'
    VERA = 'VERA'
    PROMPT_TUNING = 'PROMPT_TUNING'


@dataclass
class Config:
    """Options of the methods that wrap modules."""

    peft_type: str
    target_modules: object = None
    r: int = 2
    writes: bool = False
    bias: str = 'none'
    modules_to_save: object = None
    init_r: int = 4
    target_r: int = 4
    merges: bool = True


@dataclass
class PromptConfig:
    """Options of a method that adds tokens."""

    peft_type: str


class BaseTunerLayer:
    """The base class of all layers."""

    def get_base_layer(self):
        return self.base_layer


class BufferDict(nn.Module):
    """Buffers in a dict, which are not saved unless ``persistent``."""

    def __init__(self, buffers, persistent=False):
        super().__init__()
        self.persistent = persistent
        for key, value in buffers.items():
            self[key] = value

    def __getitem__(self, key):
        return self._buffers[key]

    def __setitem__(self, key, value):
        self.register_buffer(key, value, persistent=self.persistent)


class Layer(nn.Module, BaseTunerLayer):
    """Add a low-rank product, scaled by row, to a weight."""

    def __init__(self, base, config, bank):
        super().__init__()
        self.base_layer, self.bank = base, bank
        self.merges = config.merges
        weight = next(base.parameters()).data
        weight = weight.view(len(weight), -1)
        r, (rows, columns) = config.r, weight.shape
        self.down = nn.Parameter(torch.randn(r, columns) * 0.3)
        self.up = nn.Parameter(torch.zeros(rows, r))
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)
        self.indices = {'default': torch.randperm(columns)}
        self.norms = BufferDict({'default': weight.norm(dim=1)})
        if config.writes:
            self.up.data.normal_()
            base.weight.data = base.weight.data - self.delta().detach()

    def delta(self):
        # As peft moves its dicts in each pass.
        self.indices['default'] = self.indices['default'].clone()
        down = self.down[:, self.indices['default']] * self.bank['scale']
        norms = self.norms['default'][:, None]
        delta = norms * (self.up @ down) * self.scale
        return delta.view_as(self.base_layer.weight)

    def forward(self, x):
        out = self.base_layer(x)
        if self.base_layer.weight.dim() == 1:  # a norm
            return out + self.delta() * x
        return out + nn.functional.linear(x, self.delta())

    def merge(self):
        if not self.merges:
            raise NotImplementedError('this method cannot be merged')
        self.base_layer.weight.data += self.delta()


class Tuner:
    """A method whose layers have all their weights."""

    uses_shared_state = False


class SharedTuner:
    """A method whose layers share weights."""

    uses_shared_state = True


CONFIGS = {
    kind: PromptConfig if kind == 'PROMPT_TUNING' else Config
    for kind in PeftType
}


def get_peft_config(options):
    return CONFIGS[options['peft_type']](**options)


def inject_adapter_in_model(config, model):
    bank = BufferDict({'scale': torch.tensor(0.5)})
    for name, module in [*model.named_modules()]:
        targets = config.target_modules
        if any(f'.{name}'.endswith(f'.{target}') for target in targets):
            parent, _, child = name.rpartition('.')
            layer = Layer(module, config, bank)
            setattr(model.get_submodule(parent), child, layer)
    for name, parameter in model.named_parameters():
        added = name.endswith(('.down', '.up'))
        parameter.requires_grad_(added)


def install(monkeypatch):
    """Make ``import peft`` import this for one test."""
    peft, tuners, utils, buffers = (
        types.ModuleType(name)
        for name in (
            'peft',
            'peft.tuners',
            'peft.tuners.tuners_utils',
            'peft.tuners._buffer_dict',
        )
    )
    peft.PeftType = PeftType
    peft.PEFT_TYPE_TO_TUNER_MAPPING = {
        kind: SharedTuner if kind == 'VERA' else Tuner for kind in PeftType
    }
    peft.PEFT_TYPE_TO_CONFIG_MAPPING = CONFIGS
    peft.get_peft_config = get_peft_config
    peft.inject_adapter_in_model = inject_adapter_in_model
    utils.BaseTunerLayer = BaseTunerLayer
    buffers.BufferDict = BufferDict
    for module in (peft, tuners, utils, buffers):
        monkeypatch.setitem(sys.modules, module.__name__, module)
