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
from .vtab1k import VTAB1k
from .writers import (
    write_glyphs_fgvc,
    write_glyphs_vtab1k,
    write_scenes_ade20k,
    write_scenes_pascal_context,
)

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
    'write_glyphs_fgvc',
    'write_glyphs_vtab1k',
    'write_scenes_ade20k',
    'write_scenes_pascal_context',
]
