"""Methods of Hugging Face's peft (extra ``mmdavpt[peft]``)."""

import copy
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mmdavpt.errors import UsageError, did_you_mean, first_few
from mmdavpt.models.added import ADDED
from mmdavpt.registry import TUNERS

from .tuner import BackboneSizes, Tuner

if TYPE_CHECKING:
    from mmdavpt.models.export import FrozenWeights


@TUNERS.register_module()
class Peft(Tuner):
    """Wrap frozen modules in the layers of a peft method.

    peft replaces a module by a layer that contains it, which renames its
    weights. Here the module stays in its place with its name and weights,
    and only its ``forward`` is that of the layer, which is a child of the
    tuner. If a method changes pre-trained weights at its start (PiSSA), the
    layer gets a changed copy in a buffer.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        config (Mapping[str, Any]): Arguments of the method's ``PeftConfig``:
            ``peft_type``, such as 'LORA', ``target_modules``, and others.

    Raises:
        UsageError: If peft is not installed, or it or the backbone cannot do
            what the config says.
    """

    def __init__(
        self, sizes: BackboneSizes, config: Mapping[str, Any]
    ) -> None:
        super().__init__(sizes)
        self.config = _method(config)
        # Modules of the backbone, which are not children of the tuner.
        self._wrapped: list[tuple[nn.Module, nn.Module]] = []

    def adapt(self, backbone: nn.Module) -> None:
        """Wrap modules, or set the layers' initial values again.

        Args:
            backbone (nn.Module): A ``PromptedBackbone``.
        """
        layers = _inject(self.config, backbone)
        if self._wrapped:
            for name, fresh in layers.items():
                own = self.get_submodule(name.replace('.', '_'))
                for old, new in zip(
                    _tensors(own), _tensors(fresh), strict=True
                ):
                    old.data.copy_(new)
            return
        for name, layer in layers.items():
            module = backbone.get_submodule(name)
            if 'forward' in vars(module):
                raise UsageError(
                    f'two tuners wrap {name}; give each Peft its own '
                    '`target_modules`'
                )
            self.add_module(name.replace('.', '_'), layer)
            self._wrapped.append((module, layer))
        self._attach()

    def _attach(self) -> None:
        for module, layer in self._wrapped:
            module.forward = layer.forward

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Run the wrapped modules as they were pre-trained."""
        for module, _ in self._wrapped:
            del module.forward
        try:
            yield
        finally:
            self._attach()

    def fold(self, weights: 'FrozenWeights') -> None:
        """Merge the layers into the frozen weights, as peft does."""
        for module, layer in self._wrapped:
            try:
                layer.merge()
                for name, value in layer.get_base_layer().state_dict().items():
                    getattr(module, name).data.copy_(value)
            except (AttributeError, NotImplementedError, ValueError) as error:
                raise UsageError(
                    f'peft cannot merge {self.config.peft_type.value} into '
                    f'the frozen weights ({error}); publish the model with '
                    'its tuner instead'
                ) from error
            del module.forward


def _method(config: Mapping[str, Any]) -> Any:
    """Return peft's config of a method that can be used here."""
    try:
        import peft
    except ImportError as error:
        raise UsageError(
            "the tuner 'Peft' needs the package peft, which cannot be "
            f"imported ({error}); run `pip install 'mmdavpt[peft]'`"
        ) from error
    options = {
        key: value if isinstance(value, str) else copy.deepcopy(value)
        for key, value in config.items()
    }
    kind = str(options.get('peft_type', '')).upper()
    known = [name.value for name in peft.PEFT_TYPE_TO_TUNER_MAPPING]
    try:
        method = peft.get_peft_config({**options, 'peft_type': kind})
    except KeyError as error:
        raise UsageError(
            f'`peft_type` should be one of {known}, but got {kind!r}'
            + did_you_mean(kind, known)
        ) from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"peft's config of {kind}: {error}") from error
    tuner = peft.PEFT_TYPE_TO_TUNER_MAPPING.get(method.peft_type)
    reason = ''
    if tuner is None or method.is_prompt_learning:
        reason = 'it adds tokens or models of its own; use num_prompts'
    elif tuner.uses_shared_state:
        reason = 'its layers share matrices that are outside of them'
    elif method.inference_mode:
        reason = 'with `inference_mode` it trains nothing; remove that'
    elif kind == 'ADALORA' and method.target_r != method.init_r:
        reason = (
            'it allocates ranks during training; set `target_r` to `init_r` '
            'to train its fixed-rank form'
        )
    if reason:
        raise UsageError(f'peft_type {kind!r} is not supported: {reason}')
    return method


def _inject(config: Any, backbone: nn.Module) -> dict[str, nn.Module]:
    """Return names of modules to layers that can wrap them.

    The backbone does not change.

    Args:
        config (Any): A ``PeftConfig``.
        backbone (nn.Module): A ``PromptedBackbone``.

    Raises:
        UsageError: If that is not possible.
    """
    from peft import inject_adapter_in_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    # A copy, since some methods write into the frozen weights.
    vit = copy.deepcopy(backbone)
    for name in ADDED:
        vit._modules.pop(name, None)
    _check_targets(config.target_modules, vit)
    try:
        inject_adapter_in_model(copy.deepcopy(config), vit)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f'peft cannot apply {config.peft_type.value} to the backbone: '
            f'{error}'
        ) from error
    layers = {
        name: layer
        for name, layer in vit.named_modules()
        if isinstance(layer, BaseTunerLayer)
    }
    trained = {n for n, p in vit.named_parameters() if p.requires_grad}
    for name, layer in layers.items():
        trained -= {
            f'{name}.{n}'
            for n, _ in layer.named_parameters()
            if not n.startswith('base_layer.')
        }
    if trained:
        raise UsageError(
            f'the config of Peft also trains {first_few(sorted(trained))}; '
            'name pre-trained weights in `trainable` of the backbone instead'
        )
    unused = {m for part in backbone.unused_modules() for m in part.modules()}
    modules = {name: backbone.get_submodule(name) for name in layers}
    return {
        name: _separate(layer, name, modules[name])
        for name, layer in layers.items()
        if modules[name] not in unused
    }


def _check_targets(targets: Any, vit: nn.Module) -> None:
    """Check that each name of a list is the end of a module's name."""
    if targets is None or isinstance(targets, str):
        return  # peft's own choice, or a regular expression
    modules = dict(vit.named_modules())
    leaves = [n for n, m in modules.items() if m._parameters]
    # Without the layer: 'layers.0.attn.qkv' -> 'attn.qkv'
    names = sorted({re.sub(r'^.*?\.\d+\.', '', name) for name in leaves})
    for target in targets:
        if not any(f'.{name}'.endswith(f'.{target}') for name in modules):
            last = [name.rpartition('.')[2] for name in names]
            raise UsageError(
                f'`target_modules` of Peft has {target!r}, but the modules '
                f'are called {names}{did_you_mean(target, names + last)}'
            )


def _separate(layer: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Let a layer use a module's weights, and make all it has savable.

    Args:
        layer (nn.Module): A layer of peft, which trains some parameters.
        name (str): Name of the module.
        module (nn.Module): The module of the backbone. The layer wraps a
            copy of it, whose weights the method may have changed.
    """
    from peft.tuners._buffer_dict import BufferDict

    if next(module.children(), None) is not None:
        raise UsageError(f'Peft cannot wrap {name}: it is no single operation')
    base = layer.base_layer
    if all(
        own.is_meta or torch.equal(own, base.get_parameter(key))
        for key, own in module.named_parameters()
    ):
        # No child, so that the weights have no second name.
        layer.__dict__['base_layer'] = layer._modules.pop('base_layer')
        base._parameters = module._parameters
    common = vars(nn.Module())
    for part in layer.modules():
        for key, value in [*part._parameters.items()]:
            if value is not None and not value.requires_grad:
                delattr(part, key)
                part.register_buffer(key, value.data)
        for key, value in [*vars(part).items()]:
            if type(value) is dict and key not in common:
                tensors = [isinstance(v, Tensor) for v in value.values()]
                if tensors and all(tensors):  # such as random indices
                    setattr(part, key, BufferDict(value))
        if isinstance(part, BufferDict):
            part.persistent = True
            part._non_persistent_buffers_set.clear()
    return layer


def _tensors(layer: nn.Module) -> list[Tensor]:
    return [*layer.parameters(), *layer.buffers()]
