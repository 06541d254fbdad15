"""Methods of Hugging Face's peft (extra ``mmdavpt[peft]``)."""

import copy
from collections.abc import Mapping

from torch import Tensor, nn

from mmdavpt.errors import UsageError, did_you_mean, prefix_errors
from mmdavpt.registry import TUNERS

from .tuner import BackboneSizes, Tuner


@TUNERS.register_module()
class Peft(Tuner):
    """Wrap frozen modules in the layers of a peft method.

    peft replaces a module by a layer that contains it, which renames its
    weights. Here the module stays in its place with its name and weights:
    the layer is a child of the tuner, and the module's ``forward`` is that of
    the layer. If a method changes pre-trained weights at its start (PiSSA),
    the layer has the changed copy in its buffers.

    Args:
        sizes (BackboneSizes): Sizes of the backbone.
        config (Mapping[str, Any]): Arguments of the method's ``PeftConfig``:
            ``peft_type``, such as 'LORA', ``target_modules``, and others.

    Raises:
        UsageError: If peft is not installed, or the method cannot be used.
        ValueError: If peft rejects the config.
    """

    def __init__(self, sizes: BackboneSizes, config: Mapping) -> None:
        super().__init__(sizes)
        self.config = _checked_config(config)

    def adapt(self, backbone: nn.Module) -> None:
        """Wrap modules, or start their layers again from new weights.

        Parameters keep their identity, since an optimizer may have them.

        Args:
            backbone (nn.Module): A ``PromptedBackbone``.

        Raises:
            UsageError: If the backbone has no such modules.
            ValueError: If peft cannot wrap them.
        """
        from peft import inject_adapter_in_model
        from peft.tuners.tuners_utils import BaseTunerLayer

        # A copy, since some methods write into pre-trained weights.
        vit = copy.deepcopy(backbone)
        vit.store_frozen(None)  # peft gives its weights their type
        vit.tuners = nn.ModuleDict()
        _check_targets(self.config.target_modules, vit)
        inject_adapter_in_model(copy.deepcopy(self.config), vit)
        unused = [m for t in backbone.unused_modules() for m in t.modules()]
        layers, pairs, shared = nn.ModuleDict(), [], set()
        for name, layer in vit.named_modules():
            if isinstance(layer, BaseTunerLayer):
                module = backbone.get_submodule(name)
                if module not in unused:
                    _separate(layer, module, shared)
                    layers[name.replace('.', '_')] = layer
                    pairs.append((module, layer))
        if self.wrapped:
            self.load_state_dict(layers.state_dict())
            return
        self._modules.update(layers.items())
        self.wrapped = pairs
        for module, layer in pairs:
            if [*module.children()] or 'forward' in vars(module):
                wanted = 'single, unwrapped operations'
                raise UsageError(f'`target_modules` should be {wanted}')
            module.forward = layer.forward

    def fold(self, weights: object) -> None:
        """Merge the layers into the frozen weights, as peft does.

        Args:
            weights (object): Not needed.

        Raises:
            UsageError: If the method cannot be merged.
        """
        for module, layer in self.wrapped:
            with prefix_errors('peft cannot fold', RuntimeError):
                layer.merge()
                module.load_state_dict(layer.get_base_layer().state_dict())


def _checked_config(config: Mapping) -> object:
    """Return the ``PeftConfig`` of a method that can be used here."""
    try:
        import peft
    except ImportError as error:
        raise UsageError(
            f"Peft needs peft ({error}); run `pip install 'mmdavpt[peft]'`"
        ) from error
    kind = config.get('peft_type')
    tuner = peft.PEFT_TYPE_TO_TUNER_MAPPING[peft.PeftType(kind)]
    options = peft.PEFT_TYPE_TO_CONFIG_MAPPING[kind].__dataclass_fields__
    for name in config.keys() - options.keys():
        hint = did_you_mean(name, options)
        raise UsageError(f"peft's {kind} has no option {name!r}{hint}")
    made = peft.get_peft_config(dict(config))
    tokens = ('ADAPTION_PROMPT', 'POLY', 'SHADOW', 'TRAINABLE_TOKENS')
    if kind in tokens or not hasattr(made, 'target_modules'):
        reason = 'it adds tokens or needs their ids; use num_prompts instead'
    elif getattr(tuner, 'uses_shared_state', False):
        reason = 'its layers share weights that belong to none of them'
    elif kind == 'ADALORA' and made.target_r != made.init_r:
        reason = 'it changes ranks during training; set target_r to init_r'
    elif getattr(made, 'bias', 'none') != 'none' or made.modules_to_save:
        reason = 'its config trains frozen weights; use `trainable` for that'
    else:
        return made
    raise UsageError(f'Peft cannot use {kind}: {reason}')


def _check_targets(targets: object, vit: nn.Module) -> None:
    """Check that each name of a list is the end of a module's name."""
    names = [f'.{name}' for name, _ in vit.named_modules()]
    known = [n for n, m in vit.layers[0].named_modules() if m._parameters]
    near = [*known, *(name.rpartition('.')[2] for name in known)]
    # A string is a regular expression.
    for target in () if isinstance(targets, str) else targets or ():
        if not any(name.endswith(f'.{target}') for name in names):
            raise UsageError(
                f'`target_modules` of Peft has {target!r}, but the modules of '
                f'a layer are {known}{did_you_mean(target, near)}'
            )


def _separate(layer: nn.Module, module: nn.Module, shared: set) -> None:
    """Let a layer use a module's weights, and save all other state.

    Args:
        layer (nn.Module): A layer of peft. It wraps a copy of the module,
            whose weights the method may have changed.
        module (nn.Module): The module of the backbone.
        shared (set): Children of the layers so far.
    """
    from peft.tuners._buffer_dict import BufferDict

    base = layer.base_layer
    pairs = zip(module.parameters(), base.parameters(), strict=False)
    equal = ((one == other).all() for one, other in pairs)
    if next(module.parameters()).is_meta or all(equal):
        base._parameters = module._parameters
        shared.add(base)
    # No children, so that they are saved and listed once.
    for name in [n for n, child in layer._modules.items() if child in shared]:
        layer.__dict__[name] = layer._modules.pop(name)
    shared.update(layer._modules.values())
    for part in layer.modules():
        for name, value in [*part.named_parameters(recurse=False)]:
            if not value.requires_grad:
                delattr(part, name)
                part.register_buffer(name, value.data)
        public = [(n, v) for n, v in vars(part).items() if n[0] != '_']
        for name, value in public:
            if type(value) is dict and Tensor in map(type, value.values()):
                # Such as random indices, which would not be saved.
                setattr(part, name, BufferDict(value))
        if isinstance(part, BufferDict):
            part.persistent = True
            part._non_persistent_buffers_set.clear()
