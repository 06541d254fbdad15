"""Attention of [CLS] and of prompts over an image (Figure 3, appendix I)."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import fill
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmdavpt.errors import UsageError, layer_indices
from mmdavpt.models.backbones import PromptedBackbone, TokenRequest, view_of
from mmdavpt.models.backbones.guided_tokens import attention_scores

from .figures import INK
from .pictures import load_picture


class LayerAttention(NamedTuple):
    """Attention of one query per image, of each head.

    The weights of all keys sum to 1; the rest is on [CLS], registers and
    prefixes of tuners.

    Attributes:
        patches (Tensor): Weights of the patches, (B, heads, h, w).
        prompts (Tensor): Weights of the layer's P prompts, (B, heads, P).
    """

    patches: Tensor
    prompts: Tensor


@torch.no_grad()
def layer_attention(
    backbone: PromptedBackbone,
    images: Tensor,
    layer: int = -1,
    prompt: int | Tensor | None = None,
) -> LayerAttention:
    r"""Return the attention weights of [CLS] or of a prompt in a layer.

    .. math::
        \mathrm{softmax}(q k^T / \sqrt{d}) \text{ of each head}

    They equal those of the concatenated form. Call it in eval mode.

    Args:
        backbone (PromptedBackbone): The backbone.
        images (Tensor): Normalized images, (B, 3, H, W).
        layer (int): A layer that is run. Defaults to -1, the last one.
        prompt (int | Tensor, optional): The prompt whose query attends, one
            for all images or int64, (B, ), such as those of their classes.
            Defaults to None: [CLS], or else the mean of the patches.

    Raises:
        UsageError: If there is no such layer, or no such prompt in it.
    """
    [layer] = layer_indices('`layer`', layer, backbone.num_used_layers)
    names = {'query', 'key', 'cls_query'}
    if count := backbone.prompts.counts[layer]:
        names.add('prompt_query')
    request = TokenRequest((layer,), frozenset(names))
    tokens = backbone.forward_with_tokens(images, request)[1].guided[layer]
    keys, rows, query = tokens['key'], tokens['query'], tokens['cls_query']
    with backbone.precision():
        _, grid, *_ = backbone.embed(images, backbone.acting_tuners())
    first_patch = keys.shape[1] - grid[0] * grid[1]
    own, end = tokens.get('prompt_query'), keys.shape[1] - rows.shape[1]
    among = rows.shape[1] - grid[0] * grid[1] - backbone.num_extra_tokens
    if among:  # prompts are tokens, else a prefix
        own = rows[:, backbone.num_extra_tokens :]
        count, end = among, first_patch
    if prompt is not None:
        index = torch.as_tensor(prompt, device=keys.device).expand(len(images))
        if not count or index.min() < 0 or index.max() >= count:
            raise UsageError(
                f'`prompt` should be one of the {count} prompts of layer '
                f'{layer}, counted from 0, but got {prompt}'
            )
        query = own.expand(len(images), -1, -1)[range(len(images)), index]
    heads = view_of(backbone.layers[layer]).num_heads
    weights = attention_scores(query, keys, heads).softmax(dim=-1)
    return LayerAttention(
        weights[..., first_patch:].unflatten(-1, grid),
        weights[..., end - count : end],
    )


def attention_figure(
    pictures: Sequence[np.ndarray],
    maps: Mapping[str, Sequence[np.ndarray]],
    labels: Sequence[str],
) -> Figure:
    """Draw maps over their images: a row per image, a column per map.

    Columns can be layers, heads, queries or methods. The colors of each map
    end at its own maximum; the line below it is the sum over the image.

    Args:
        pictures (Sequence[np.ndarray]): M images, uint8, RGB, (H, W, 3).
        maps (Mapping[str, Sequence[np.ndarray]]): Title of each column to M
            maps, (h, w).
        labels (Sequence[str]): Texts below the images.

    Raises:
        ValueError: If a column or the labels do not have one per image.
    """
    size = 1.9 * (len(maps) + 1), 2.15 * len(pictures) + 0.4
    with rc_context({'text.parse_math': False, 'text.color': INK}):
        figure = Figure(figsize=size, layout='constrained')
        axes = figure.subplots(len(pictures), len(maps) + 1, squeeze=False)
        for ax, picture in zip(axes.T.flat, cycle(pictures), strict=False):
            ax.imshow(picture)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        for ax, label in zip(axes[:, 0], labels, strict=True):
            ax.set_xlabel(fill(label, 24))
        for i, (title, column) in enumerate(maps.items(), 1):
            axes[0, i].set_title(fill(title, 24), fontsize=10)
            for ax, values in zip(axes[:, i], column, strict=True):
                # Over the whole image, whatever the number of patches.
                extent = ax.images[0].get_extent()
                style = dict(extent=extent, cmap='inferno', alpha=0.65)
                ax.imshow(values, vmin=0, **style)
                ax.set_xlabel(f'sum {np.sum(values):.2f}', fontsize=9)
    return figure


def compare_attention(
    models: Mapping[str, tuple[nn.Module, Dataset]],
    indices: Sequence[int],
    labels: Sequence[int | None],
    class_names: Sequence[str],
) -> Figure | None:
    """Draw attention in the last layer with prompts, mean over heads.

    The columns of a model are [CLS], and the prompt of the class, or without
    guidance or class the prompt that [CLS] attends to most. The map of a
    class without a prompt is zero.

    Args:
        models (Mapping[str, tuple[nn.Module, Dataset]]): Beginning of titles
            to a classifier or segmentor in eval mode, and its dataset.
        indices (Sequence[int]): Indices of images, the same in all datasets.
        labels (Sequence[int | None]): Their classes; None if unknown.
        class_names (Sequence[str]): The name of each class.

    Returns:
        Figure | None: None if no model has a prompted backbone.
    """
    maps: dict[str, list[np.ndarray]] = {}
    for name, (model, dataset) in models.items():
        if not isinstance(model.backbone, PromptedBackbone):
            continue
        counts = model.backbone.prompts.counts
        layer = max((k for k, n in enumerate(counts) if n), default=-1)
        guidance = getattr(model, 'guidance', None)
        for i, label in zip(indices, labels, strict=True):
            task = model.backbone, load_picture(model, dataset, i)[1], layer
            found, prompts = layer_attention(*task)
            drawn = {'[CLS]': found}
            if prompts.shape[-1]:
                title, prompt = 'strongest prompt', prompts.mean(1).argmax()
                if None not in (guidance, label):
                    title, prompt = 'prompt of class', guidance.mapping[label]
                found = layer_attention(*task, prompt.clamp(min=0)).patches
                drawn[title] = found * (prompt >= 0)
            for title, found in drawn.items():
                column = maps.setdefault(f'{name}{title}', [])
                column.append(found[0].mean(dim=0).cpu().numpy())
    first, *_ = models.values()
    pictures = [load_picture(*first, index)[2] for index in indices]
    names = ['' if k is None else class_names[k] for k in labels]
    return attention_figure(pictures, maps, names) if maps else None
