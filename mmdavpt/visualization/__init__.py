"""Figures: predicted segmentations, and which classes share a prompt."""

from .figures import save_figure
from .mapping import draw_mapping, mapping_figure, moved_classes, prompt_groups
from .segmentation import (
    colour_segmentation,
    draw_predictions,
    legend_patches,
    predictions_figure,
)

__all__ = [
    'colour_segmentation',
    'draw_mapping',
    'draw_predictions',
    'legend_patches',
    'mapping_figure',
    'moved_classes',
    'predictions_figure',
    'prompt_groups',
    'save_figure',
]
