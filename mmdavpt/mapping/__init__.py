"""Class representations, k-means and the class-to-prompt mapping."""

from .assignment import assign_prompts
from .class_means import accumulate, class_means
from .guidance_label import check_pixel_labels, draw_guidance_label
from .kmeans import ALGORITHMS, check_options, cluster
from .normalization import NORMALIZATIONS, normalize_rows
from .result import MappingResult, describe, moved

__all__ = [
    'ALGORITHMS',
    'MappingResult',
    'NORMALIZATIONS',
    'accumulate',
    'assign_prompts',
    'check_options',
    'check_pixel_labels',
    'class_means',
    'cluster',
    'describe',
    'draw_guidance_label',
    'moved',
    'normalize_rows',
]
