"""Figures of what a model learns; only the command line imports them."""

from .attention import attention_figure, compare_attention, layer_attention
from .curves import curve_figure, read_scalars
from .figure_hook import FigureHook
from .mapping import mapping_figure
from .pictures import load_examples, load_picture
from .projection import draw_classes, project_2d, projection_figure
