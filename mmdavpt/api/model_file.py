"""A model in one file: weights as safetensors, all else as JSON."""

import copy
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

from mmengine.config import Config
from mmengine.runner.checkpoint import _load_checkpoint_to_model

from mmdavpt.checkpoints import fit, safe_loading, save_checkpoint, tuned
from mmdavpt.errors import UsageError
from mmdavpt.models.guided_model import GuidedModelMixin
from mmdavpt.models.pretrained.reading import SET_PATH

from .tuned_model import TunedModel, describe_model

#: What mmengine looks up types with that are not registered.
IMPORT = 'mmengine.registry.registry.get_object_from_string'

#: What to do without the file of the frozen weights.
PASS_FILE = 'pass weights=FILE, on the command line --weights FILE'


def save_model(model: TunedModel, path: str, complete: bool = False) -> None:
    """Save a model file.

    It contains the config of the model and its test pipeline (image size,
    mean and std), class names, and the weights: all of them, or the tuned
    ones and a fingerprint of the others. It contains no path.

    Args:
        model (TunedModel): The model.
        path (str): A file that ends in ``.safetensors``.
        complete (bool): Whether to save the frozen weights, too. Defaults to
            False.

    Raises:
        UsageError: If the name ends differently, or if the frozen weights
            have no source to load them from.
        SaveError: If it cannot be written.
    """
    if not str(path).endswith('.safetensors'):
        raise UsageError(f'a model file ends in .safetensors, but got {path}')
    spec = copy.deepcopy(model.spec)
    init = spec['model']['backbone'].get('init_cfg') or {}
    if '://' not in (source := init.get('checkpoint', '')):
        init['checkpoint'] = Path(source).name  # no path of this machine
    state = dict(model.model.state_dict())
    content = dict(state_dict=state, meta=dict(spec=spec))
    if not complete:
        tuned.strip_frozen(content, model.model)
        if tuned.FINGERPRINT in content['state_dict'] and not source:
            raise UsageError('without pretrained weights use complete=True')
    save_checkpoint(content, str(path))


def load_model(
    source: str | Path | Config,
    checkpoint: str | None = None,
    weights: str | None = None,
    share: TunedModel | None = None,
) -> TunedModel:
    """Load a model file, or a config with a checkpoint, for prediction.

    Nothing is unpickled, and a model file can name registered types only.

    Args:
        source (str | Path | Config): A model file, or a config.
        checkpoint (str, optional): The checkpoint of a config. Defaults to
            None.
        weights (str, optional): File or address of the frozen weights.
            Defaults to None: the address in the file, or a file of that name
            in its folder or the current one.
        share (TunedModel, optional): A model whose frozen weights this one
            uses in memory. Defaults to None.

    Returns:
        TunedModel: The model in evaluation mode.

    Raises:
        UsageError: If a file cannot be read, does not have exactly the
            weights of the model, or was tuned on other frozen weights.
    """
    file = str(checkpoint or source)
    content = safe_loading.load_checked_file(file)
    meta = content.get('meta', {})
    spec = meta.get('spec')
    # mmengine would import any other name, and call it.
    only_registered = patch(IMPORT, lambda key: None)
    if checkpoint is not None:
        cfg = source if isinstance(source, Config) else Config.fromfile(source)
        spec = describe_model(cfg, meta.get('dataset_meta') or {})
        only_registered = nullcontext()
    elif not spec:
        raise UsageError(
            f'{source} was not written by `save_model`; give a config'
        )
    backbone = spec['model'].get('backbone') or {}
    name = (backbone.get('init_cfg') or {}).get('checkpoint', '')
    near = Path(file).parent / name
    if weights or near.is_file():
        found = weights or str(near)
        backbone['init_cfg'] = dict(type='Pretrained', checkpoint=found)
    try:
        with only_registered:
            model = TunedModel(spec)
    except KeyError as error:
        name = str(error.args[0]).partition(' is not in ')[0]
        sentence = f'{source} names {name}, which is not registered'
        raise UsageError(sentence) from error
    state = content.get('state_dict', content)
    # Ours compare a state that says where it comes from.
    if state is content or not isinstance(model.model, GuidedModelMixin):
        fit.check_fit(model.model, state, file, [fit.GUIDANCE])
    _load_weights(model, content, share, str(source))
    return model.eval()


def _load_weights(
    model: TunedModel, content: dict, share: TunedModel | None, source: str
) -> None:
    """Load a file, with the frozen weights of another model or its own."""
    if share is None:
        try:
            _load_checkpoint_to_model(model.model, content)
        except UsageError as error:  # weights do not exist, or do not fit
            text = str(error).replace(SET_PATH, PASS_FILE)
            raise UsageError(text) from error
        return
    state = content.get('state_dict', content)
    frozen = tuned.frozen_weights(share.model)
    own = {name: x for name, x in state.items() if name in frozen}
    mark = state.pop(tuned.FINGERPRINT, tuned.fingerprint(own))
    given, shared = model.settings, share.settings
    keys = {k for k in given | shared if given.get(k) != shared.get(k)}
    same_images = keys <= model.spec['model']['backbone'].keys()
    same_weights = tuned.same_values(mark, tuned.fingerprint(frozen))
    if not (same_images and same_weights):
        options = {k: given.get(k) for k in sorted(keys)}
        raise UsageError(
            f'{source} should have the images and the frozen weights of the '
            f'first task, but has {options or "other weights"}; use it alone'
        )
    # The parameters themselves: a shared pass compares their identity.
    state.update({n: share.model.get_parameter(n) for n in frozen})
    model.model.load_state_dict(state, strict=False, assign=True)
