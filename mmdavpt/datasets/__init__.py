from .glyph_rendering import ALPHABETS, STYLES, GlyphStyle
from .glyphs import (FACES, SCENE_CLASSES, GlyphADE20KDataset, GlyphDataset,
                     GlyphSceneDataset)

__all__ = [
    'ALPHABETS', 'FACES', 'GlyphADE20KDataset', 'GlyphDataset',
    'GlyphSceneDataset', 'GlyphStyle', 'SCENE_CLASSES', 'STYLES'
]
