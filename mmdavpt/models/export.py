"""Fold tuners into frozen weights, and export a model to other programs."""

import copy
import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, export

from mmdavpt.checkpoints import atomic_write
from mmdavpt.checkpoints.reading import read_safetensors
from mmdavpt.checkpoints.writing import safetensors_bytes
from mmdavpt.errors import UsageError

from .backbones import DAVPTTimmViT
from .tuners import acting
from .tuners.tuner import FrozenWeights


def fold_tuners(model: nn.Module) -> dict[str, Tensor]:
    """Fold all tuners of a model into its frozen weights.

    Args:
        model (nn.Module): See :func:`fold_model`.

    Returns:
        dict[str, Tensor]: State of the same model with ``bias=()``,
        ``tuners=()`` and ``frozen_dtype=None``.

    Raises:
        UsageError: If there are no tuners, or one cannot be folded.
    """
    if not any(getattr(m, 'all_tuners', list)() for m in model.modules()):
        raise UsageError('the model has no tuners or bias shifts to fold')
    return fold_model(model).state_dict()


@torch.no_grad()
def fold_model(model: nn.Module) -> nn.Module:
    """Return a copy of a model with all tuners folded into frozen weights.

    Changes of modules act first, then shifts of biases, and both are folded
    first; all others are folded in their order. The weights are float32, also
    with ``frozen_dtype``, and the copy computes in it.

    Args:
        model (nn.Module): A backbone, or a model that has one.

    Raises:
        UsageError: If a tuner cannot be folded.
    """
    folded = copy.deepcopy(model)
    for backbone in [m for m in folded.modules() if hasattr(m, 'all_tuners')]:
        backbone.store_frozen(None)  # bfloat16 would round changes away
        found = acting(backbone.all_tuners())
        first = [*found.get('adapt', ()), *found.get('bias', ())]
        others = [t for t in backbone.all_tuners() if t not in first]
        for tuner in (*first, *others):
            tuner.fold(FrozenWeights(backbone))
            for module, _ in tuner.wrapped:
                del module.forward
        backbone.bias_delta = None
        backbone.tuners = nn.ModuleDict()
    return folded


#: Largest difference from the model's logits, relative to the largest logit.
TOLERANCE = 1e-4


class Deployed(nn.Sequential):
    """Compute logits of normalized images by a classifier or a segmentor."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits.

        Args:
            images (Tensor): With shape (B, 3, H, W).

        Returns:
            Tensor: With shape (B, K), or (B, K, H, W) of a segmentor.
        """
        if not hasattr(self[0], 'encode_decode'):
            return self[0](images)
        # Some heads prefer `pad_shape`.
        meta = dict.fromkeys(('img_shape', 'pad_shape'), images.shape[2:])
        return self[0].encode_decode(images, [meta])


def describe_images(model: nn.Module, size: list[int] | None) -> dict:
    """Return how other programs should make the images of a model.

    Args:
        model (nn.Module): A classifier or a segmentor.
        size (list[int], optional): Height and width. None for those of
            sliding windows, or else of the backbone's ``img_size``.

    Returns:
        dict: ``size``; ``rgb``, whether red is the first channel, or else
        blue; ``mean`` and ``std`` of the channels, of pixels from 0 to 255.
    """
    test = getattr(model, 'test_cfg', None) or {}
    size = size or test.get('crop_size') or model.backbone.img_size
    source = model.data_preprocessor
    # MMPretrain's and MMSegmentation's flags. Both read files as BGR.
    rgb = getattr(source, 'to_rgb', getattr(source, '_channel_conversion', 0))
    mean = getattr(source, 'mean', torch.zeros(3)).flatten().tolist()
    std = getattr(source, 'std', torch.ones(3)).flatten().tolist()
    return dict(size=[*size], rgb=bool(rgb), mean=mean, std=std)


def export_model(
    model: nn.Module, path: str, kind: str, info: dict, dynamic_size: bool
) -> float:
    """Write a model to a file, and compare the file's logits with the model's.

    Both compute in float32, also with ``frozen_dtype``.

    Args:
        model (nn.Module): A classifier or a segmentor, in evaluation mode.
        path (str): The file to write. It appears once the logits are equal.
        kind (str): One of :data:`FORMATS`. Graphs take batches of any size.
        info (dict): That of :func:`describe_images`, and more. Files of ONNX
            and safetensors contain it as JSON.
        dynamic_size (bool): Whether images may have other sizes, which are
            multiples of the patch.

    Returns:
        float: The largest difference of logits, relative to the largest one.

    Raises:
        UsageError: If the model has no plain weights, or if logits differ.
    """
    if model.backbone.frozen_dtype is not None:
        model = copy.deepcopy(model)
        model.backbone.store_frozen(None)
    dims, shapes = {0: Dim('batch')}, [(n, 3, *info['size']) for n in (1, 3)]
    if dynamic_size:
        rows, columns = model.backbone.patch_size
        shapes.append((1, 3, 3 * rows, 5 * columns))
        dims |= {2: rows * Dim('rows'), 3: columns * Dim('columns')}
    example = (torch.randn(2, *shapes[-1][1:]),)
    worst = 0.0
    with atomic_write(path) as partial, torch.no_grad():
        exported = Deployed(_prepared(model, kind))
        run = FORMATS[kind](exported, example, dims, partial, info)
        for images in map(torch.randn, shapes):
            right = Deployed(model)(images)
            gap = (run(images) - right).abs().max() / right.abs().max()
            worst = max(worst, gap.item())
            if not gap <= TOLERANCE:
                raise UsageError(
                    f'for images {[*images.shape]} logits differ by {gap:.0e} '
                    'of the largest; use another --format or a fixed size'
                )
    return worst


def _prepared(model: nn.Module, kind: str) -> nn.Module:
    """Return a copy without guidance and, where possible, without tuners.

    In a graph, prompts become constant keys and values.

    Raises:
        UsageError: If there should be plain weights, but cannot be.
    """
    try:
        folded = fold_model(model)
    except UsageError:
        folded = copy.deepcopy(model)  # tuners become a part of the graph
    folded.guidance, vit = None, folded.backbone
    if kind != 'weights':
        folded.auxiliary_head = None
        vit.prompt_cache.freeze(vit)
        return folded
    in_timm = isinstance(vit, DAVPTTimmViT)
    head = getattr(getattr(folded, 'head', None), 'fc', None)
    own = [m for m in folded.children() if 'mmdavpt' in type(m).__module__]
    added = len(vit.prompts) or vit.all_tuners() or own != [vit]
    if added or (in_timm and head is None):
        raise UsageError(
            'prompts, tuners that do not fold, and heads of mmdavpt or that '
            'timm does not have cannot become plain weights; export a graph'
        )
    if in_timm:
        vit.vit.head = head
    return vit.vit if in_timm else folded


def _to_onnx(module, images, dims, path, info):
    from onnxruntime import InferenceSession

    graph = export(module, images, dynamic_shapes=(dims,))
    options = dict(output_names=['logits'], dynamo=True, verbose=False)
    program = torch.onnx.export(graph, **options)
    program.model.metadata_props['mmdavpt'] = json.dumps(info)
    program.save(path, external_data=False)
    run = InferenceSession(path).run
    return lambda x: torch.from_numpy(run(None, {'images': x.numpy()})[0])


def _to_program(module, images, dims, path, info):
    with open(path, 'w+b') as file:
        torch.export.save(export(module, images, dynamic_shapes=(dims,)), file)
        file.seek(0)
        return torch.export.load(file).module()


def _to_script(module, images, dims, path, info):
    torch.jit.trace(module, images).save(path)
    return torch.jit.load(path)


def _to_state(module, images, dims, path, info):
    content = dict(state_dict=module[0].state_dict(), meta=info)
    Path(path).write_bytes(safetensors_bytes(content))
    module[0].load_state_dict(read_safetensors(path)[0])
    return module


#: Formats: what writes a file, and returns what runs it.
FORMATS = dict(onnx=_to_onnx, torch=_to_program)
FORMATS |= dict(torchscript=_to_script, weights=_to_state)
