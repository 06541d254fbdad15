"""Prompts, class representations and tokens in two dimensions (Figure 1)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from mmdavpt.models.option_checks import check_choice
from mmdavpt.visualization.figures import COLORS, INK, MARKERS, PALE


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
