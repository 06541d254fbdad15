"""Pictures: predictions beside ground truth, and who shares a prompt."""

from .figures import save_figure
from .mapping import draw_mapping, mapping_figure, moved_classes, prompt_groups
from .segmentation import (
    colour_segmentation,
    draw_predictions,
    predictions_figure,
)

__all__ = [
    'colour_segmentation',
    'draw_mapping',
    'draw_predictions',
    'mapping_figure',
    'moved_classes',
    'predictions_figure',
    'prompt_groups',
    'save_figure',
]
