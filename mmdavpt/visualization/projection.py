"""Prompts, class representations and tokens in two dimensions (Figure 1)."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from torch import nn
from torch.utils.data import Dataset

from mmdavpt.errors import check_choice
from mmdavpt.models.backbones import PromptedBackbone, TokenRequest

from .figures import COLORS, INK, MARKERS, PALE
from .pictures import load_picture


def project_2d(
    vectors: np.ndarray, method: str = 'pca', seed: int = 0
) -> np.ndarray:
    """Project vectors to two dimensions.

    Args:
        vectors (np.ndarray): With shape (M, C).
        method (str): 'pca', the two directions of most variance, or 'tsne',
            which keeps neighbors together. Defaults to 'pca'.
        seed (int): Seed of t-SNE. Defaults to 0.

    Returns:
        np.ndarray: With shape (M, 2).

    Raises:
        UsageError: If there is no such method.
    """
    check_choice('`method`', method, ('pca', 'tsne'))
    vectors = np.asarray(vectors, dtype=np.float64)
    if method == 'pca':
        return PCA(2, svd_solver='full').fit_transform(vectors)
    perplexity = min(30, (len(vectors) - 1) / 3)
    project = TSNE(perplexity=perplexity, init='pca', random_state=seed)
    return project.fit_transform(vectors)


def projection_figure(
    prompts: np.ndarray,
    samples: np.ndarray,
    labels: Sequence[int],
    mapping: Sequence[int] | None = None,
    method: str = 'pca',
) -> Figure:
    """Draw prompts, samples and the mean of each class in one plane.

    Classes have the color and marker of their prompt, and a line to it.

    Args:
        prompts (np.ndarray): Prompts of a layer, (P, C).
        samples (np.ndarray): Tokens of the same layer, such as [CLS]
            or patches, (M, C).
        labels (Sequence[int]): The class of each sample, (M, ).
        mapping (Sequence[int], optional): The prompt of each class, (K, );
            -1 for none. Defaults to None: unguided, all classes alike.
        method (str): See :func:`project_2d`. Defaults to 'pca'.
    """
    labels = np.asarray(labels)
    classes = np.unique(labels)
    means = np.stack([samples[labels == k].mean(axis=0) for k in classes])
    parts = [prompts, samples, means]
    ends = np.cumsum([len(part) for part in parts])[:-1]
    points = project_2d(np.concatenate(parts), method)
    prompts, samples, means = np.split(points, ends)
    figure = Figure(figsize=(6.4, 5), layout='constrained')
    ax = figure.subplots()
    for k, mean in zip(classes, means, strict=True):
        p = -1 if mapping is None else int(mapping[k])
        style = dict(color=COLORS[p % len(COLORS)] if p >= 0 else PALE)
        style['marker'] = MARKERS[p // len(COLORS) % len(MARKERS)]
        ax.scatter(*samples[labels == k].T, s=8, alpha=0.5, **style)
        ax.scatter(*mean, s=55, edgecolor=INK, linewidth=0.8, **style)
        if p >= 0:
            ax.plot(*zip(mean, prompts[p], strict=True), lw=0.8, **style)
    ax.scatter(*prompts.T, s=170, marker='*', color=INK)
    for p, point in enumerate(prompts):
        ax.annotate(f'{p}', point, (5, 4), textcoords='offset points')
    ax.set(xlabel=f'{method.upper()} 1', ylabel=f'{method.upper()} 2')
    return figure


@torch.no_grad()
def draw_classes(
    model: nn.Module, dataset: Dataset, labels: Sequence[int], most: int = 200
) -> Figure | None:
    """Draw prompts and [CLS] in the last layer with prompts, as queries.

    These are the vectors that guidance compares.

    Args:
        model (nn.Module): A classifier in eval mode.
        dataset (Dataset): Images.
        labels (Sequence[int]): The class of each image; -1 if unknown.
        most (int): Images to draw, evenly spread over those with a class.
            Defaults to 200.

    Returns:
        Figure | None: None without prompts or classes.
    """
    backbone, labels = model.backbone, np.array(labels, dtype=int)
    prompted = isinstance(backbone, PromptedBackbone)
    counts = backbone.prompts.counts if prompted else ()
    layers = [k for k, number in enumerate(counts) if number]
    known = np.flatnonzero(labels >= 0)
    if not layers or not len(known):
        return None
    request = TokenRequest(
        (layers[-1],), frozenset({'cls_query', 'prompt_query'})
    )
    shown, samples = known[:: -(-len(known) // most)], []
    for i in shown:
        _, image, _ = load_picture(model, dataset, i)
        _, found = backbone.forward_with_tokens(image, request)
        tokens = found.guided[layers[-1]]
        samples.append(tokens['cls_query'][0].cpu().numpy())
    prompts = tokens['prompt_query'].cpu().numpy()
    guidance = getattr(model, 'guidance', None)
    mapping = None if guidance is None else guidance.mapping.tolist()
    return projection_figure(
        prompts, np.stack(samples), labels[shown], mapping
    )
