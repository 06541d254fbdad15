"""Readers of data on disk, and the embedded task: glyphs, drawn or written."""

from .alphabets import ALPHABETS
from .fgvc import FGVC
from .glyph_styles import STYLES, GlyphStyle
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
    'FGVC',
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
