"""Datasets of characters, drawn on the fly, that need no download."""

from .alphabets import ALPHABETS
from .dataset import (
    FACES,
    SCENE_CHARS,
    SCENE_CLASSES,
    SCENE_METAINFO,
    GlyphADE20KDataset,
    GlyphDataset,
    GlyphSceneDataset,
)
from .styles import STYLES, GlyphStyle

__all__ = [
    'ALPHABETS',
    'FACES',
    'GlyphADE20KDataset',
    'GlyphDataset',
    'GlyphSceneDataset',
    'GlyphStyle',
    'SCENE_CHARS',
    'SCENE_CLASSES',
    'SCENE_METAINFO',
    'STYLES',
]
