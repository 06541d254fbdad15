"""Pictures: samples, predictions, and who shares a prompt."""

from .figures import save_figure
from .mapping import draw_mapping, mapping_figure, moved_classes, prompt_groups
from .samples import Sample
from .segmentation import (
    colour_segmentation,
    draw_predictions,
    predictions_figure,
)
from .sheet import samples_figure

__all__ = [
    'Sample',
    'colour_segmentation',
    'draw_mapping',
    'draw_predictions',
    'mapping_figure',
    'moved_classes',
    'predictions_figure',
    'prompt_groups',
    'samples_figure',
    'save_figure',
]
