"""Confusion matrices."""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

#: With more classes, ticks are numbers.
MOST_NAMES = 40


def confusion_figure(matrix: np.ndarray, class_names: Sequence[str]) -> Figure:
    """Draw the share of each prediction among the samples of a class.

    Args:
        matrix (np.ndarray): Number of samples or pixels by true and predicted
            class, (K, K).
        class_names (Sequence[str]): K names, drawn up to ``MOST_NAMES``.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    named = len(class_names) <= MOST_NAMES
    side = max(4.0, 0.2 * len(class_names) + 2) if named else 7
    with rc_context({'text.parse_math': False}):
        figure = Figure(figsize=(side + 0.8, side), layout='constrained')
        ax = figure.subplots()
        image = ax.imshow(shares, cmap='cividis', vmin=0, vmax=1)
        if named:
            ticks = range(len(class_names))
            ax.set_xticks(ticks, class_names, rotation=90)
            ax.set_yticks(ticks, class_names)
        ax.set(xlabel='predicted class', ylabel='true class')
        label = 'share of the true class'
        figure.colorbar(image, label=label, shrink=0.6)
    return figure
