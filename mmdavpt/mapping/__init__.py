"""Class means, k-means and the class-to-prompt mapping; no model needed."""

from .assignment import MappingResult, assign_prompts, describe
from .class_means import accumulate, class_means
from .guidance_label import check_pixel_labels, draw_guidance_label
from .kmeans import cluster
from .loaders import first_pass_loader
from .normalization import NORMALIZATIONS, normalize_rows
