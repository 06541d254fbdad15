"""The guidance of prompts: config, mapping state, labels and loss."""

from .class_mapping import ClassMapping
from .labels import check_annotations, draw_class_labels, read_class_labels
from .prompt_guidance import PromptGuidance, build_guidance
from .regions import Regions, find_regions, patch_labels, region_tokens
