"""Figures of what a model learns; only the command line imports them."""

from .attention import attention_figure, layer_attention
from .confusion import confusion_figure
from .curves import curve_figure, read_scalars
from .mapping import mapping_figure, moved_classes, prompt_groups
from .projection import project_2d, projection_figure

__all__ = [
    'attention_figure',
    'confusion_figure',
    'curve_figure',
    'layer_attention',
    'mapping_figure',
    'moved_classes',
    'project_2d',
    'projection_figure',
    'prompt_groups',
    'read_scalars',
]
