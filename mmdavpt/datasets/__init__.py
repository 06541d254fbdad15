"""Readers of data on disk, and the embedded task: glyphs, drawn or written."""

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
from .glyphs.writers import (
    write_glyphs_fgvc,
    write_glyphs_vtab1k,
    write_scenes_ade20k,
    write_scenes_pascal_context,
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
    'write_glyphs_fgvc',
    'write_glyphs_vtab1k',
    'write_scenes_ade20k',
    'write_scenes_pascal_context',
]
