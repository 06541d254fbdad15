"""Dataset readers: VTAB-1k, FGVC and glyphs drawn on the fly."""

from .fgvc import FGVC
from .glyphs import GlyphADE20KDataset, GlyphDataset, GlyphSceneDataset
from .vtab1k import VTAB1k

__all__ = [
    'FGVC',
    'GlyphADE20KDataset',
    'GlyphDataset',
    'GlyphSceneDataset',
    'VTAB1k',
]
