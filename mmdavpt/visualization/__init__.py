"""Figures: which classes share a prompt."""

from .figures import save_figure
from .mapping import draw_mapping, mapping_figure, moved_classes, prompt_groups

__all__ = [
    'draw_mapping',
    'mapping_figure',
    'moved_classes',
    'prompt_groups',
    'save_figure',
]
