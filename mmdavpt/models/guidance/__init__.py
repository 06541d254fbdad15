"""The guidance of prompts: its config, state and loss, and what guides."""

from .class_mapping import ClassMapping
from .config import build_guidance, resolve_guided_layers
from .prompt_guidance import PromptGuidance
from .regions import (
    Regions,
    find_regions,
    patch_labels,
    region_means,
    region_tokens,
)

__all__ = [
    'ClassMapping',
    'PromptGuidance',
    'Regions',
    'build_guidance',
    'find_regions',
    'patch_labels',
    'region_means',
    'region_tokens',
    'resolve_guided_layers',
]
