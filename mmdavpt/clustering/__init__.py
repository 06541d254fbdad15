"""Class representations, k-means and the class-to-prompt mapping."""

from .class_means import accumulate, class_means
from .guidance_label import check_pixel_labels, draw_guidance_label
from .kmeans import NORMALIZATIONS, cluster, normalize_rows
from .mapping import MappingResult, assign_prompts, describe, moved

__all__ = [
    'MappingResult',
    'NORMALIZATIONS',
    'accumulate',
    'assign_prompts',
    'check_pixel_labels',
    'class_means',
    'cluster',
    'describe',
    'draw_guidance_label',
    'moved',
    'normalize_rows',
]
