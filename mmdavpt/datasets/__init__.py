"""The embedded task: glyphs and glyph scenes, drawn or written to disk."""

from .glyph_rendering import ALPHABETS, STYLES, GlyphStyle
from .glyphs import (
    FACES,
    SCENE_CHARS,
    SCENE_CLASSES,
    SCENE_METAINFO,
    GlyphADE20KDataset,
    GlyphDataset,
    GlyphSceneDataset,
)
from .writers import write_scenes_ade20k

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
    'write_scenes_ade20k',
]
