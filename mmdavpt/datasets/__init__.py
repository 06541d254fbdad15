"""Dataset readers: VTAB-1k, FGVC and glyphs drawn on the fly."""

from .fgvc import FGVC
from .glyphs import (
    ALPHABETS,
    FACES,
    SCENE_CHARS,
    SCENE_CLASSES,
    SCENE_METAINFO,
    STYLES,
    GlyphADE20KDataset,
    GlyphDataset,
    GlyphSceneDataset,
    GlyphStyle,
)
from .vtab1k import VTAB1k

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
    'VTAB1k',
]
