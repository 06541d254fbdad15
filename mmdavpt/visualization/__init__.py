"""Figures of what a model learns; only the command line imports them."""

from .attention import attention_figure, layer_attention
from .curves import curve_figure, read_scalars
from .projection import project_2d, projection_figure
